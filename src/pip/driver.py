"""The Python side of `kiln pip`, compiled into kiln and run as `PY -c <this file> MODE ...`.

ask                         Say what kiln must know of this Python and its pip.
check PIP_DIR               Exit with 0 if the pip in PIP_DIR works in this Python.
pip PIP_DIR RESULT ARGS...  Be `pip ARGS...`, with one difference: where the index has both a wheel
                            with extension modules and the source of one version, install and wheel
                            see only the source. What they chose and installed goes to RESULT.
                            A build that made fewer extension modules than the wheel has is an
                            error, unless --allow-pure is given.

Taking those wheels out of pip's own search, rather than giving a list to --no-binary, is what makes
one run enough: pip resolves once, a version without source keeps its wheel, nothing becomes older,
and the isolated environments that pip makes for builds, being processes of their own, take wheels.
"""

import sys

if sys.path and sys.path[0] == "":  # the working directory, which -c puts there
    del sys.path[0]

import importlib.machinery
import importlib.metadata
import importlib.util
import io
import os
import re
import traceback
import zipfile

EXTENSION_SUFFIXES = tuple(importlib.machinery.EXTENSION_SUFFIXES)


class PipFinder:
    """Imports pip from a directory of another Python's, and nothing else from there."""

    def __init__(self, directory):
        self.directory = directory

    def find_spec(self, name, path=None, target=None):
        if name != "pip":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, [self.directory], target)
        if spec is None:  # do not fall through to this Python's own
            raise ImportError(f"no pip in {self.directory}")
        return spec


def use_pip(directory):
    if directory:
        sys.meta_path.insert(0, PipFinder(directory))


def canonical(name):
    """PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


# --- ask and check ---


def ask():
    import sysconfig

    answer = {"executable": sys.executable, "base": getattr(sys, "_base_executable", "")}
    for name in "CC", "CXX", "LDSHARED", "LDCXXSHARED":
        answer[name] = sysconfig.get_config_var(name) or ""
    try:
        import pip
        answer["pip_version"] = pip.__version__
        answer["pip_dir"] = os.path.dirname(os.path.dirname(os.path.abspath(pip.__file__)))
    except Exception:  # none, or one that is damaged: kiln then looks for another
        pass
    for name, value in answer.items():
        print(f"{name}={value}")


def check(directory):
    use_pip(directory)
    from pip._internal.commands import create_command
    create_command("install")
    import pip._internal.index.package_finder


# --- which files pip may choose from ---


def holds_extensions(link):
    """Whether a wheel is made for one Python ABI. `none` is pure, or programs and plain libraries;
    PEP 425: NAME-VERSION(-BUILD)?-PYTHON-ABI-PLATFORM.whl."""
    return link.filename[:-len(".whl")].split("-")[-2] != "none"


class Choice:
    """What pip's resolver found and chose for the command itself. A resolver that runs inside of
    another one is for the environment of a build, which is left alone."""

    def __init__(self):
        self.depth = 0
        self.packages = []   # (name, version, how, local path or None)
        self.reasons = {}    # why the wheel of (name, version) stays one
        self.evaluators = {}  # what pip compares the files of a name with
        self.rebuilt = {}    # the wheels of (name, version) that were hidden

    def hide_wheels(self, name, candidates, format_control, hashes):
        native, source, refused = {}, set(), set()
        for candidate in candidates:
            if candidate.link.is_wheel:
                if holds_extensions(candidate.link):
                    native.setdefault(candidate.version, []).append(candidate)
            elif hashes and not candidate.link.is_hash_allowed(hashes):
                refused.add(candidate.version)
            else:
                source.add(candidate.version)
        only_wheels = "source" not in format_control.get_allowed_formats(name)
        for version in native.keys() - source:
            self.reasons[name, str(version)] = (
                "only-binary" if only_wheels else "hashes" if version in refused else "no-source")
        hidden = native.keys() & source
        self.rebuilt.update({(name, str(version)): native[version] for version in hidden})
        return [candidate for candidate in candidates
                if not candidate.link.is_wheel or candidate.version not in hidden]

    def describe(self, candidate, installing):
        """How one chosen package comes to be there: a word that kiln knows."""
        name, link = canonical(candidate.name), candidate.source_link
        if link is None or name not in installing:
            return "kept"
        if candidate.is_editable:
            return "editable"
        if not link.is_wheel:
            return "built"
        return self.reasons.get((name, str(candidate.version)), "given")

    def record(self, candidates, installing):
        for candidate in candidates:
            # "name[extra]" comes with its "name"; "<...>" is the Python.
            if not re.search(r"[\[<]", candidate.name):
                link = candidate.source_link
                self.packages.append((canonical(candidate.name), str(candidate.version),
                                      self.describe(candidate, installing),
                                      link.file_path if link and link.is_file else None))


def prefer_source(finder_class, choice):
    find_all, find_best = finder_class.find_all_candidates, finder_class.find_best_candidate

    def find_best_candidate(self, project_name, specifier=None, hashes=None):
        self.kiln_hashes = hashes
        return find_best(self, project_name, specifier, hashes)

    def find_all_candidates(self, project_name):
        candidates = find_all(self, project_name)
        if choice.depth > 1 or any(getattr(c, "locked", False) for c in candidates):
            return candidates
        name = canonical(project_name)
        choice.evaluators[name] = self.make_candidate_evaluator(project_name)
        return choice.hide_wheels(name, candidates, self.format_control,
                                  getattr(self, "kiln_hashes", None))

    finder_class.find_best_candidate = find_best_candidate
    finder_class.find_all_candidates = find_all_candidates


def record_choice(resolver_class, choice):
    resolve = resolver_class.resolve

    def wrapper(self, *args, **kwargs):
        choice.depth += 1
        try:
            requirements = resolve(self, *args, **kwargs)
        finally:
            choice.depth -= 1
        if choice.depth == 0 and not choice.packages:
            installing = {canonical(name) for name in requirements.requirements}
            choice.record(self._result.mapping.values(), installing)
        return requirements

    resolver_class.resolve = wrapper


# --- what was installed ---


def search_path(options):
    """Where install put things, and where what was there before is."""
    from pip._internal.locations import get_scheme

    if options.target_dir:
        return [options.target_dir]
    scheme = get_scheme("", user=bool(options.use_user_site), root=options.root_path,
                        isolated=options.isolated_mode, prefix=options.prefix_path)
    return [scheme.platlib, scheme.purelib] + sys.path


def installed_files(places, wanted):
    """The extension-like files of the distributions in wanted, as (name, path, path to show)."""
    importlib.invalidate_caches()
    seen = set()
    for distribution in importlib.metadata.distributions(path=places):
        name = canonical(distribution.metadata["Name"] or "")
        if name not in wanted or name in seen:
            continue
        seen.add(name)
        for file in distribution.files or ():
            path = os.fspath(distribution.locate_file(file))
            if file.name.endswith(EXTENSION_SUFFIXES) and os.path.isfile(path):
                yield name, path, os.fspath(file)


def project_files(directory):
    """The extension-like files of a project that is used where it is. What build/ has is used by
    some build systems and a copy for others."""
    elsewhere, in_build = [], []
    for parent, directories, files in os.walk(directory):
        directories[:] = sorted(d for d in directories if d[0] != "." and d != "site-packages"
                                and not os.path.exists(os.path.join(parent, d, "pyvenv.cfg")))
        for file in sorted(files):
            if file.endswith(EXTENSION_SUFFIXES):
                path = os.path.join(parent, file)
                shown = os.path.relpath(path, directory)
                (in_build if "build" in shown.split(os.sep)[:-1] else elsewhere).append((path, shown))
    return elsewhere or in_build


def wheel_files(directory, wanted, scratch):
    """The extension-like files of the wheels in directory, unpacked below scratch."""
    for wheel in sorted(os.listdir(directory)):
        fields = wheel.split("-")
        if not wheel.endswith(".whl") or wanted.get(canonical(fields[0])) != fields[1]:
            continue
        with zipfile.ZipFile(os.path.join(directory, wheel)) as archive:
            for member in archive.namelist():
                if member.endswith(EXTENSION_SUFFIXES):
                    inside = os.path.join(scratch, wheel)
                    yield canonical(fields[0]), archive.extract(member, inside), member


def list_files(command, options, chosen, scratch):
    editable = {name for name, _, how, path in chosen if how == "editable" and path}
    for name, _, _, path in chosen:
        if name in editable:
            for file, shown in project_files(path):
                yield name, file, shown
    wanted = {name: version for name, version, _, _ in chosen if name not in editable}
    if command == "wheel":
        yield from wheel_files(options.wheel_dir, wanted, scratch)
    else:
        yield from installed_files(search_path(options), wanted)


class Result:
    """The file that kiln reads: records of a letter and fields, each with a NUL after it."""

    def __init__(self, path):
        self.path = path

    def put(self, *fields):
        with open(self.path, "ab") as stream:
            stream.write(b"".join(os.fsencode(field) + b"\0" for field in fields))


def report(result, command, options, chosen):
    try:
        if options.quiet:
            result.put("Q")
        files = {}
        for name, path, shown in list_files(command, options, chosen, result.path + ".d"):
            files.setdefault(name, []).append((path, shown))
        for name, version, how, _ in sorted(chosen):
            result.put("P", name, version, how)
            for path, shown in sorted(files.get(name, ()), key=lambda file: file[1]):
                result.put("F", path, shown)
    except Exception as error:  # what pip did is done, whatever becomes of the summary
        result.put("E", f"{type(error).__name__}: {error}")


# --- extensions that a build left out ---


class IncompleteBuild(Exception):
    """A build made fewer extensions than the index's wheel has. The result names them."""


def open_wheel(link, session):
    """The wheel at LINK as a ZipFile, of which no more is fetched than what is read, if the server
    can send a part of a file."""
    from pip._internal.network.lazy_wheel import HTTPRangeRequestUnsupported, LazyZipOverHTTP

    if link.is_file:
        return zipfile.ZipFile(link.file_path)
    try:
        return zipfile.ZipFile(LazyZipOverHTTP(link.url_without_fragment, session))
    except HTTPRangeRequestUnsupported:
        response = session.get(link.url_without_fragment, headers={"Accept-Encoding": "identity"})
        response.raise_for_status()
        return zipfile.ZipFile(io.BytesIO(response.content))


def wheel_extensions(archive):
    """The extension-like files of a wheel: {path without its suffix: path}. NAME.libs/ is where
    auditwheel puts libraries."""
    found = {}
    for member in archive.namelist():
        path = re.sub(r"^[^/]+\.data/(plat|pure)lib/", "", member)
        suffix = next(filter(path.endswith, EXTENSION_SUFFIXES), None)
        if suffix and not re.match(r"[^/]+\.libs/", path):
            found[path[:-len(suffix)]] = member
    return found


def is_extension(archive, member):
    """Whether a file of a wheel is an extension. Libraries are named "*.so" as well, but with no tag
    of Python's in front."""
    return (member.endswith(EXTENSION_SUFFIXES[:-1])
            or re.search(rb"\0Py(Init|ModExport)_", archive.read(member)) is not None)


def compare_with_wheel(made, link, session):
    """The extensions that the wheel at LINK has and those MADE lack, and how many it has."""
    with open_wheel(link, session) as archive:
        wanted = wheel_extensions(archive)
        missing = [member for path, member in sorted(wanted.items())
                   if path not in made and is_extension(archive, member)]
        return missing, len(missing) + len(wanted.keys() & made.keys())


class BuildCheck:
    """Compares what pip built with the wheels that were hidden from it."""

    def __init__(self, choice, result, command, options):
        self.choice, self.result, self.command, self.options = choice, result, command, options
        self.unfit = []  # paths of wheels in pip's cache that are not to stay there

    def check(self, path):
        """Whether the wheel at PATH, which pip built, has all extensions of the index's."""
        from pip._vendor.packaging.version import parse

        name, version = os.path.basename(path).split("-")[:2]
        name, version = canonical(name), str(parse(version.replace("_", "+")))
        hidden = self.choice.rebuilt.get((name, version))
        if not hidden:
            return True
        with zipfile.ZipFile(path) as archive:
            made = wheel_extensions(archive)
        try:
            best = self.choice.evaluators[name].compute_best_candidate(hidden).best_candidate
            missing, total = compare_with_wheel(made, (best or hidden[0]).link,
                                                self.command.get_default_session(self.options))
        except Exception as error:  # without the network, say, the wheel cannot be looked at
            if self.options.verbose:
                self.result.put("U", name, version, f"{type(error).__name__}: {error}")
            if not made:
                self.unfit.append(path)
            return True
        if missing:
            self.unfit.append(path)
            allowed = "allowed" if self.options.allow_pure else "error"
            self.result.put("L", name, version, str(total), allowed)
            for member in missing:
                self.result.put("M", member)
        return not missing

    def watch(self, build):
        """A function in place of pip's BUILD. What it raises is before anything is installed."""
        def wrapper(*args, **kwargs):
            built, failed = build(*args, **kwargs)
            complete = [self.check(requirement.local_file_path) for requirement in built]
            if not (all(complete) or failed or self.options.allow_pure):
                raise IncompleteBuild
            return built, failed
        return wrapper

    def clean_cache(self):
        """What the build needed may be there next time, or the network."""
        for path in self.unfit:
            if os.path.exists(path):
                os.unlink(path)


# --- progress ---


class BuildProgress:
    """How far a build is, from its output, behind pip's spinner: the step that ninja and CMake count,
    or how much has been compiled."""

    def __init__(self):
        self.spinner, self.compiled, self.text = None, 0, ""

    def read_line(self, line):
        step = re.match(r"\s*\[\s*(\d+)/(\d+)\]", line)
        if step:
            self.text = f" {step[1]}/{step[2]}"
        elif " -c " in line or line.lstrip().startswith("Compiling "):
            self.compiled += 1
            self.text = f" {self.compiled} compiled"

    def get_text(self, spinner):
        if spinner is not self.spinner:
            self.__init__()
            self.spinner = spinner
        return self.text


def show_build_progress():
    """On a terminal; without one pip has another spinner."""
    from pip._internal.cli.spinners import InteractiveSpinner
    from pip._internal.utils.subprocess import subprocess_logger

    progress = BuildProgress()
    write = InteractiveSpinner._write

    def write_with_progress(self, status):
        text = progress.get_text(self)
        write(self, status + text if len(status) == 1 else status)

    def listen(log):
        def wrapper(message, *args, **kwargs):
            if not args:
                progress.read_line(message)
            return log(message, *args, **kwargs)
        return wrapper

    InteractiveSpinner._write = write_with_progress
    for level in "debug", "verbose":
        if hasattr(subprocess_logger, level):
            setattr(subprocess_logger, level, listen(getattr(subprocess_logger, level)))


# --- pip ---


def set_options(options):
    from pip import __version__

    ours = os.environ.get("PIP_CACHE_DIR")
    if ours and options.cache_dir and os.path.realpath(options.cache_dir) != os.path.realpath(ours):
        # --cache-dir: a place for the cache, but what others built is in it.
        options.cache_dir = os.path.join(options.cache_dir, "kiln-" + os.path.basename(ours))
    if tuple(map(int, __version__.split(".")[:2])) < (23, 1):
        # These would run `setup.py install`, which leaves no wheel to cache, or not use the cache.
        if options.use_pep517 is None and importlib.util.find_spec("wheel") is None:
            options.use_pep517 = True
        from pip._internal.cli import cmdoptions
        feature = "no-binary-enable-wheel-cache"
        if feature in getattr(cmdoptions.use_new_feature, "keywords", {}).get("choices", ()):
            options.features_enabled = [*options.features_enabled, feature]


def requirement_at_work(error):
    """What pip was building when the error arose: of the first steps of a build it says no name."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        actor = frame.f_locals.get("self")
        if type(actor).__name__ == "SourceDistribution":
            yield canonical(actor.req.name or "")


def blame(error, rebuilt):
    """Which of the packages built for kiln's sake an error of pip's is about."""
    text = canonical(f"{error} {getattr(error, 'context', '')}")
    at_work = set(requirement_at_work(error))
    return sorted({name for name, _ in rebuilt if name in at_work
                   or re.search(rf"(?<![a-z0-9-]){re.escape(name)}(?![a-z0-9])", text)})


def instrument(command, name, result):
    """Prepare an install or wheel command of pip's."""
    from pip._internal.exceptions import PipError
    from pip._internal.index.package_finder import PackageFinder
    from pip._internal.resolution.resolvelib.resolver import Resolver

    choice = Choice()
    prefer_source(PackageFinder, choice)
    record_choice(Resolver, choice)
    try:
        show_build_progress()
    except (ImportError, AttributeError):  # a pip that has other spinners shows those
        pass
    command.cmd_opts.add_option(
        "--allow-pure", action="store_true", default=False,
        help="Do not fail if a build made fewer extension modules than the index's wheel has.")
    original, module = command.run, sys.modules[type(command).__module__]
    build = module.build

    def run(options, args):
        set_options(options)
        check = BuildCheck(choice, result, command, options)
        module.build = check.watch(build)
        try:
            status = original(options, args)
        except IncompleteBuild:
            return 1
        except PipError as error:
            for package in blame(error, choice.rebuilt):
                result.put("X", package)
            raise
        finally:
            check.clean_cache()
        if status == 0 and not getattr(options, "dry_run", False):
            report(result, name, options, choice.packages)
        return status

    command.run = run


def pip(directory, result, args):
    use_pip(directory)
    import warnings
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r".*packaging\.version")
    from pip import __version__
    import pip._internal.cli.main as entry
    import pip._internal.commands as commands

    create = commands.create_command

    def create_command(name, **kwargs):
        command = create(name, **kwargs)
        if name in ("install", "wheel"):
            try:
                instrument(command, name, Result(result))
            except (ImportError, AttributeError) as error:
                sys.exit(f"kiln: error: this Kiln cannot direct pip {__version__} ({error}): "
                         "update Kiln, or install an older pip")
        return command

    commands.create_command = entry.create_command = create_command
    sys.argv[1:] = args
    return entry.main(args)


if __name__ == "__main__":
    mode, arguments = sys.argv[1], sys.argv[2:]
    if mode == "ask":
        ask()
    elif mode == "check":
        check(*arguments)
    else:
        sys.exit(pip(arguments[0], arguments[1], arguments[2:]))
