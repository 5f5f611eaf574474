# Completion of kiln for bash: commands and options are those that `kiln help` lists.
_kiln()
{
    local program=${COMP_WORDS[0]} current=${COMP_WORDS[COMP_CWORD]} words=
    if ((COMP_CWORD == 1)) || { ((COMP_CWORD == 2)) && [[ ${COMP_WORDS[1]} == help ]]; }; then
        words="$("$program" help 2>/dev/null | sed -n 's/^  \([a-z][a-z]*\)  .*/\1/p')"
        ((COMP_CWORD > 1)) || words="$words help --help --version"
    elif [[ $current == -* ]]; then
        words="$("$program" help "${COMP_WORDS[1]}" 2>/dev/null |
            sed -n 's/^  \(-[^ ,]*\(, -[^ ,]*\)*\).*/\1/p' | tr ',' ' ') --help"
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -o default -F _kiln kiln
