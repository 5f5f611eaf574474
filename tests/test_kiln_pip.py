"""kiln pip: pip, with extension modules that come out fat."""

import functools
import http.server
import io
import os
import shutil
import subprocess
import tarfile
import threading
import zipfile

import pytest

from conftest import run
from extensions import ask, extension, list_modules
from terminal import run_on_terminal

EXTENSION = """\
#include <Python.h>
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "_ext", NULL, 0, NULL};
PyMODINIT_FUNC PyInit__ext(void) { return PyModuleDef_Init(&def); }
"""


def project(name, source=EXTENSION, requires=(), prologue="", optional=False):
    """The files of a setuptools project NAME 1.0 with one extension, NAME._ext."""
    build_requires = ", ".join(f'"{r}"' for r in ("setuptools", *requires))
    return {
        "pyproject.toml": f'[build-system]\nrequires = [{build_requires}]\n'
                          'build-backend = "setuptools.build_meta"\n'
                          f'[project]\nname = "{name}"\nversion = "1.0"\n'
                          f'[tool.setuptools]\npackages = ["{name}"]\n',
        "setup.py": f"{prologue}\nfrom setuptools import Extension, setup\n"
                    f"setup(ext_modules=[Extension('{name}._ext', ['{name}/_ext.c'], optional={optional})])\n",
        f"{name}/__init__.py": "",
        f"{name}/_ext.c": source,
    }


def write_project(directory, files):
    for path, text in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text)
    return directory


def write_sdist(directory, name, files):
    with tarfile.open(directory / f"{name}-1.0.tar.gz", "w:gz") as archive:
        for path, text in files.items():
            info = tarfile.TarInfo(f"{name}-1.0/{path}")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))


def write_wheel(directory, name, tag="py3-none-any", files=()):
    """A wheel of FILES: pairs of a path on disk and one inside."""
    with zipfile.ZipFile(directory / f"{name}-1.0-{tag}.whl", "w") as wheel:
        info = f"{name}-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        for path, inside in files:
            wheel.write(path, inside)
        members = [*wheel.namelist(), f"{info}/RECORD"]
        wheel.writestr(f"{info}/RECORD", "".join(f"{member},,\n" for member in members))


def native_tag(python):
    return ask(python, "import sys, sysconfig; answer = 'cp{0}{1}-cp{0}{1}-{2}'.format("
                       "*sys.version_info[:2], sysconfig.get_platform().replace('-', '_'))")


def write_plain_wheel(directory, name, python, scratch):
    """A wheel with an extension that Kiln did not build."""
    file = extension(scratch, f"{name}._ext", python, compiler="cc")
    write_wheel(directory, name, native_tag(python), [(file, f"{name}/{file.name}")])


def clean_environment(home, **changes):
    """This process's, without what chooses compilers or pip's behaviour, and with a home."""
    keep = {"PIP_CERT", "PIP_INDEX_URL", "PIP_DEFAULT_TIMEOUT"}
    env = {key: value for key, value in os.environ.items()
           if key in keep or not key.startswith(("PIP_", "KILN_", "XDG_", "CARGO_TARGET_"))}
    for key in "CC", "CXX", "LDSHARED", "LDCXXSHARED", "VIRTUAL_ENV":
        env.pop(key, None)
    return {**env, "HOME": str(home), "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_ROOT_USER_ACTION": "ignore", **changes}


@pytest.fixture(scope="session")
def env(tmp_path_factory):
    """An environment with a cache that the whole session shares."""
    return clean_environment(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def index(tmp_path_factory, python, env):
    """A directory for --find-links. `both` has its source and a wheel that Kiln did not build;
    `sourceless` only such a wheel; `broken` one, and a source that does not compile; `needy` needs
    `broken` to be built; `unready` has a wheel, and a source that cannot say what it is; `optional` has a
    wheel, and a source that is built without its extension if the compiler fails; `pure` is a pure wheel."""
    index = tmp_path_factory.mktemp("index")
    run(python, "-m", "pip", "-q", "download", "--no-deps", "-d", index, "setuptools", "wheel",
        env=env)
    for name in "both", "sourceless", "broken", "unready", "optional":
        write_plain_wheel(index, name, python, tmp_path_factory.mktemp(name))
    write_sdist(index, "both", project("both"))
    write_sdist(index, "broken", project("broken", source="#error it is broken\n"))
    write_sdist(index, "unready", project("unready", prologue="raise SystemExit('it is not ready')"))
    write_sdist(index, "needy", project("needy", requires=["broken"], prologue="import broken._ext"))
    write_sdist(index, "optional", project("optional", optional=True))
    write_wheel(index, "pure")
    return index


@pytest.fixture
def install(kiln, python, env, index, tmp_path):
    """Run `kiln pip install --target` from the index; the result has the directory as .target."""
    def call(*args, check=True, env=env, python=python):
        target = tmp_path / "target"
        result = kiln("pip", "--python", python, "install", "--no-index", "-f", index,
                      "--target", target, *args, check=check, env=env)
        result.target = target
        return result
    return call


@pytest.fixture(scope="module")
def venv(python, tmp_path_factory):
    """A virtual environment; each test that installs into it has packages of its own there."""
    directory = tmp_path_factory.mktemp("venv") / "venv"
    run(python, "-m", "venv", directory)
    return directory


def is_fat(directory):
    """Whether every extension below DIRECTORY has a .kiln section; there must be one."""
    files = sorted(directory.rglob("_*.so"))
    assert files
    return all(" .kiln " in run("readelf", "-SW", file).stdout for file in files)


# --- What is built, what is taken as a wheel ---


def test_real_packages_come_fat_and_pure_ones_as_wheels(kiln, venv, env):
    result = kiln("pip", "--python", venv / "bin" / "python", "install", "MarkupSafe", "idna",
                  env=env)
    assert "Building wheel for MarkupSafe" in result.stdout
    assert "Building wheel for idna" not in result.stdout
    assert is_fat(next(venv.glob("lib/python*/site-packages/markupsafe")))
    assert "1 extension, fat" in result.stderr
    run(venv / "bin" / "python", "-c", "import markupsafe._speedups, idna")


def test_source_is_preferred_to_a_wheel_with_extensions(install):
    result = install("both")
    assert is_fat(result.target)
    assert "kiln: both 1.0: 1 extension, fat" in result.stderr


def test_what_was_built_once_is_not_built_again(install):
    install("both")
    result = install("both", "--upgrade")
    assert "Building wheel" not in result.stdout
    assert is_fat(result.target)


def test_a_package_without_source_stays_a_wheel_and_the_summary_says_why(install):
    result = install("sourceless", "pure")
    assert not is_fat(result.target)
    assert ("sourceless 1.0: 1 extension, not fat: a wheel: the index has no source of this version"
            in result.stderr)


def test_a_package_without_extensions_is_only_counted(install):
    result = install("pure")
    assert result.stderr.strip() == "kiln: 1 package, no extensions"


def test_only_binary_takes_the_wheel(install):
    result = install("--only-binary", "both", "both")
    assert not is_fat(result.target)
    assert "a wheel, as --only-binary asks" in result.stderr


def test_build_requirements_come_as_wheels(install):
    """`broken` cannot be built, so `needy` is built only if it has its wheel."""
    assert is_fat(install("needy").target)


@pytest.mark.parametrize("package, reason", [("broken", "it is broken"), ("unready", "it is not ready")])
def test_a_build_that_fails_says_how_to_take_the_wheel(package, reason, install):
    result = install(package, check=False)
    assert result.returncode == 1
    assert reason in result.stdout + result.stderr
    assert "ERROR: Exception" not in result.stderr  # pip's own, not a failure of ours
    assert f"--only-binary {package}" in result.stderr


def test_hashes_that_leave_the_source_out_leave_the_wheel(install, index, tmp_path):
    wheel = next(index.glob("both-1.0-*.whl"))
    digest = run("sha256sum", wheel).stdout.split()[0]
    (tmp_path / "requirements.txt").write_text(f"both==1.0 --hash=sha256:{digest}\n")
    result = install("-r", tmp_path / "requirements.txt")
    assert "the hashes that are required leave its source out" in result.stderr


def test_a_wheel_in_pips_own_cache_is_not_picked_up(kiln, python, index, tmp_path):
    """Not even where the user points --cache-dir at it."""
    env = clean_environment(tmp_path / "home")
    cache = tmp_path / "cache"
    args = ["--no-index", "-f", index, "--cache-dir", cache, "--no-binary", "both", "both"]
    run(python, "-m", "pip", "install", "--target", tmp_path / "plain", *args, env=env)
    assert list(cache.rglob("both-1.0-*.whl"))
    kiln("pip", "--python", python, "install", "--target", tmp_path / "fat", *args, env=env)
    assert is_fat(tmp_path / "fat")


# --- Builds that leave extensions out ---


@pytest.fixture
def install_optional(install, env, tmp_path):
    """Install `optional` with a compiler that fails, and a cache of its own."""
    def call(*args, **changes):
        changed = {**env, "CC": "/bin/false", "XDG_CACHE_HOME": str(tmp_path / "cache"), **changes}
        return install("optional", *args, check=False, env=changed)
    return call


def list_names(directory):
    return {path.name for path in directory.rglob("*")} if directory.exists() else set()


def test_a_build_without_the_extensions_of_the_wheel_is_an_error(install_optional, tmp_path):
    result = install_optional()
    assert result.returncode == 1
    assert "kiln: error: optional 1.0: built without these extensions of the index's wheel (1 of 1):\n  optional/_ext." \
        in result.stderr
    assert "Traceback" not in result.stderr
    assert not list_names(result.target)
    assert not any(name.endswith(".whl") for name in list_names(tmp_path / "cache"))


def test_a_build_with_all_extensions_after_one_without_is_made_anew(install_optional):
    install_optional()
    result = install_optional(CC="cc")
    assert result.returncode == 0
    assert is_fat(result.target)


@pytest.mark.parametrize("before", [["pip", "--allow-pure"], ["pip"]])
def test_a_build_without_extensions_can_be_allowed_but_is_not_cached(kiln, python, env, index, tmp_path, before):
    env = {**env, "CC": "/bin/false", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    after = [] if "--allow-pure" in before else ["--allow-pure"]
    result = kiln(*before, "--python", python, "install", "--no-index", "-f", index, "--target",
                  tmp_path / "target", "optional", *after, env=env)
    assert "kiln: warning: optional 1.0: built without" in result.stderr
    assert "kiln: 1 package, no extensions" in result.stderr
    assert "optional" in list_names(tmp_path / "target")
    assert not any(name.endswith(".whl") for name in list_names(tmp_path / "cache"))


def test_wheels_without_their_extensions_are_not_written(kiln, python, env, index, tmp_path):
    result = kiln("pip", "--python", python, "wheel", "--no-index", "-f", index, "-w", tmp_path / "wheels", "optional",
                  check=False, env={**env, "CC": "/bin/false", "XDG_CACHE_HOME": str(tmp_path / "cache")})
    assert result.returncode == 1
    assert not list_names(tmp_path / "wheels")


def test_a_library_of_a_wheel_is_no_extension_that_is_missing(kiln, python, env, tmp_path):
    """As auditwheel places them, and elsewhere."""
    index = tmp_path / "index"
    index.mkdir()
    (tmp_path / "lib.c").write_text("int f(void) { return 1; }\n")
    run("cc", "-shared", "-fPIC", "-o", tmp_path / "libf.so", tmp_path / "lib.c")
    library = tmp_path / "libf.so"
    write_wheel(index, "plain", native_tag(python), [(library, "plain.libs/libf-1.so"), (library, "plain/libf.so")])
    files = project("plain")
    files["setup.py"] = "from setuptools import setup\nsetup()\n"
    write_sdist(index, "plain", files)
    args = ["--no-index", "-f", index, "--no-build-isolation", "plain"]
    result = kiln("pip", "--python", python, "install", "--target", tmp_path / "target", *args, env=env)
    assert result.stderr.strip() == "kiln: 1 package, no extensions"


@pytest.fixture
def server(index):
    """The index over HTTP, as one that cannot send parts of files; what is in `missing` is not there."""
    missing = set()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def send_head(self):
            if os.path.basename(self.path) in missing:
                return self.send_error(404)
            return super().send_head()

        def log_message(self, *args):
            pass

    handler = functools.partial(Handler, directory=os.fspath(index))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        server.missing, server.url = missing, f"http://127.0.0.1:{server.server_port}/"
        yield server
        server.shutdown()


@pytest.fixture
def install_from_server(kiln, python, env, server, tmp_path):
    def call(*args):
        return kiln("pip", "--python", python, "install", "--no-index", "-f", server.url, "--target",
                    tmp_path / "target", *args, "optional", check=False,
                    env={**env, "CC": "/bin/false", "XDG_CACHE_HOME": str(tmp_path / "cache")})
    return call


def test_a_wheel_is_fetched_from_a_server_that_sends_whole_files_only(install_from_server):
    result = install_from_server()
    assert result.returncode == 1
    assert "kiln: error: optional 1.0: built without" in result.stderr


def test_a_wheel_that_cannot_be_fetched_is_told_if_asked(install_from_server, server, index):
    server.missing.update(path.name for path in index.glob("optional-1.0-*.whl"))
    result = install_from_server()
    assert result.returncode == 0
    assert result.stderr.strip() == "kiln: 1 package, no extensions"
    result = install_from_server("-v", "--upgrade")
    assert "kiln: optional 1.0: not compared with the index's wheel, which could not be looked at: " in result.stderr


# --- pip's ways to name and place things ---


def test_requirements_constraints_and_extras(kiln, python, env, index, tmp_path):
    files = project("local")
    files["pyproject.toml"] += '[project.optional-dependencies]\nmore = ["both", "pure"]\n'
    write_project(tmp_path / "local", files)
    (tmp_path / "requirements.txt").write_text("./local[more]\n")
    (tmp_path / "constraints.txt").write_text("both==1.0\n")
    kiln("pip", "--python", python, "install", "--no-index", "-f", index, "--target", "target",
         "-r", "requirements.txt", "-c", "constraints.txt", cwd=tmp_path, env=env)
    assert is_fat(tmp_path / "target" / "local")
    assert is_fat(tmp_path / "target" / "both")


def test_an_editable_project_is_inspected_where_it_is(kiln, venv, env, index, tmp_path):
    source = write_project(tmp_path / "local", project("local"))
    result = kiln("pip", "--python", venv, "install", "--no-index", "-f", index, "-e", source,
                  env=env)
    assert "kiln: local 1.0: 1 extension, fat" in result.stderr
    assert is_fat(source / "local")
    kiln("link", "--python", venv, "-o", tmp_path / "app", env=env)
    assert "local._ext" in list_modules(tmp_path / "app")


def test_a_source_archive_by_its_path(install, index):
    assert is_fat(install(index / "both-1.0.tar.gz").target)


def test_a_prefix_is_where_the_summary_looks(kiln, python, env, index, tmp_path):
    result = kiln("pip", "--python", python, "install", "--no-index", "-f", index,
                  "--prefix", tmp_path / "prefix", "both", env=env)
    assert "kiln: both 1.0: 1 extension, fat" in result.stderr


def test_wheels_are_made_fat(kiln, python, env, index, tmp_path):
    result = kiln("pip", "--python", python, "wheel", "--no-index", "-f", index,
                  "-w", tmp_path / "wheels", "both", "pure", env=env)
    assert "kiln: both 1.0: 1 extension, fat" in result.stderr
    with zipfile.ZipFile(next((tmp_path / "wheels").glob("both-*.whl"))) as wheel:
        wheel.extractall(tmp_path / "unpacked")
    assert is_fat(tmp_path / "unpacked")


def test_what_was_installed_before_without_kiln_can_be_built_anew(kiln, venv, env, index):
    pip = ["--no-index", "-f", index]
    run(venv / "bin" / "python", "-m", "pip", "install", *pip, "--only-binary", ":all:", "both",
        env=env)
    result = kiln("pip", "--python", venv, "install", *pip, "both", env=env)
    assert "it was installed before, without Kiln (--force-reinstall" in result.stderr
    result = kiln("pip", "--python", venv, "install", *pip, "--force-reinstall", "both", env=env)
    assert "kiln: both 1.0: 1 extension, fat" in result.stderr


# --- Compilers ---


def test_the_users_compiler_is_used(install, tmp_path, env):
    compiler = tmp_path / "mycc"
    compiler.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/log\nexec cc "$@"\n')
    compiler.chmod(0o755)
    result = install("both", "--no-cache-dir", env={**env, "CC": str(compiler)})
    assert "-shared" in (tmp_path / "log").read_text()
    assert is_fat(result.target)


def test_an_extension_that_went_past_kiln_cc_is_told(kiln, python, env, index, tmp_path):
    prologue = ("import os\nfor name in 'CC', 'LDSHARED':\n    os.environ.pop(name, None)\n"
                "os.environ['PATH'] = '/usr/bin:/bin'\n")
    source = write_project(tmp_path / "local", project("local", prologue=prologue))
    result = kiln("pip", "--python", python, "install", "--no-index", "-f", index,
                  "--target", tmp_path / "target", source, env=env)
    assert "local 1.0: 1 extension, not fat: not linked through kiln-cc" in result.stderr


# --- Progress ---


@pytest.fixture
def slow_project(tmp_path):
    """A project whose build reports its steps, as ninja does."""
    prologue = ("import time\nfor step in 3, 4:\n"
                "    print(f'[{step}/7] Compiling', flush=True)\n    time.sleep(0.3)\n")
    return write_project(tmp_path / "slow", project("slow", prologue=prologue))


def test_a_terminal_shows_how_far_a_build_is(build, python, env, index, slow_project, tmp_path):
    status, output = run_on_terminal(
        build / "kiln", "pip", "--python", python, "install", "--no-index", "-f", index,
        "--target", tmp_path / "target", slow_project, env={**env, "TERM": "xterm"})
    assert status == 0
    assert b" 4/7" in output


def test_a_pipe_gets_no_progress(install, slow_project):
    result = install(slow_project)
    assert " 4/7" not in result.stdout + result.stderr
    assert "\r" not in result.stdout + result.stderr and "\b" not in result.stdout


# --- Being pip ---


@pytest.mark.parametrize("args", [["freeze", "--all"], ["show", "no-such-package"], ["install"],
                                  ["no-such-command"], ["install", "--no-such-option"]])
def test_output_and_exit_status_are_pips(kiln, python, env, args):
    theirs = run(python, "-m", "pip", *args, check=False, env=env)
    ours = kiln("pip", "--python", python, *args, check=False, env=env)
    assert (ours.returncode, ours.stdout, ours.stderr) == (
        theirs.returncode, theirs.stdout, theirs.stderr)


def test_uninstall_is_pips(kiln, venv, env, index):
    kiln("pip", "--python", venv, "install", "--no-index", "-f", index, "pure", env=env)
    kiln("pip", "--python", venv, "uninstall", "-y", "pure", env=env)
    assert "pure" not in run(venv / "bin" / "python", "-m", "pip", "list", env=env).stdout


def test_quiet_is_quiet(install):
    result = install("-q", "both")
    assert (result.stdout, result.stderr) == ("", "")


def test_a_dry_run_has_no_summary(install):
    result = install("--dry-run", "pure")
    assert "Would install pure-1.0" in result.stdout
    assert result.stderr == ""


def test_the_python_may_be_a_venvs_directory(kiln, venv, env):
    said = kiln("pip", "--python", venv, "--version", env=env).stdout
    assert str(venv) in said


def test_a_python_without_pip_borrows_one(kiln, python, env, index, tmp_path):
    run(python, "-m", "venv", "--without-pip", tmp_path / "bare")
    kiln("pip", "--python", tmp_path / "bare", "install", "--no-index", "-f", index, "both", env=env)
    run(tmp_path / "bare" / "bin" / "python", "-c", "import both._ext")


def test_the_default_python_may_be_a_script(kiln, venv, env, tmp_path):
    shims = tmp_path / "shims"
    shims.mkdir()
    (shims / "python3").write_text(f'#!/bin/sh\nexec {venv}/bin/python "$@"\n')
    (shims / "python3").chmod(0o755)
    path = f"{shims}:{env['PATH']}"
    assert str(venv) in kiln("pip", "--version", env={**env, "PATH": path}).stdout


def test_a_python_that_does_not_exist_is_one_message(kiln, env, tmp_path):
    result = kiln("pip", "--python", tmp_path / "none", "list", check=False, env=env)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1 and str(tmp_path / "none") in result.stderr


def test_kiln_without_kiln_cc_is_one_message(build, python, env, tmp_path):
    shutil.copy(build / "kiln", tmp_path / "kiln")
    result = subprocess.run([tmp_path / "kiln", "pip", "--python", python, "list"], env=env,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 1
    assert "kiln-cc belongs beside kiln" in result.stderr and result.stdout == ""
