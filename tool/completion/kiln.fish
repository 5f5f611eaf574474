# Completion of kiln for fish: commands and options are those that `kiln help` lists.
function __kiln_commands
    kiln help 2>/dev/null | string replace -rf '^  ([a-z]+)  +(.*)' '$1\t$2'
end
function __kiln_options
    set -l words (commandline -opc)
    kiln help $words[2] 2>/dev/null | string match -rg '^  (-[^ ,]+(?:, -[^ ,]+)*)' | string split ', '
    echo --help
end
complete -c kiln -n __fish_use_subcommand -f -a '(__kiln_commands)'
complete -c kiln -n '__fish_seen_subcommand_from help' -f -a '(__kiln_commands)'
complete -c kiln -n 'not __fish_use_subcommand; and string match -q -- "-*" (commandline -ct)' -a '(__kiln_options)'
