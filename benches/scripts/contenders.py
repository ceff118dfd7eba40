"""How each engine is installed, set up and started, and where things lie."""

import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SOURCES = ROOT / "benches" / "contenders"
DEBIAN_LIBRARY = pathlib.Path("/usr/lib/x86_64-linux-gnu/libmodsecurity.so.3")
DEBIAN_CRS = pathlib.Path("/usr/share/modsecurity-crs")
LEWAF = "lewaf==0.7.6"
WHEEL = "libmodsecurity==3.0.15.post2"


class Unavailable(Exception):
    """Why an engine cannot be measured."""


def workspace():
    """What is downloaded and built once."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    folder = pathlib.Path(base) / "hop3" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def build(name, profile="release"):
    """The path of an executable of ours; $HOP3_BENCH_BIN names a folder of optimised ones that are built already."""
    built = os.environ.get("HOP3_BENCH_BIN")
    if built and profile == "release":
        return pathlib.Path(built).resolve() / name
    package = "hop3" if name == "hop3" else "hop3-benches"
    command = ["cargo", "build", "--profile", profile, "--quiet", "-p", package, "--bin", name]
    subprocess.run(command, cwd=ROOT, check=True)
    folder = "debug" if profile == "dev" else profile
    return ROOT / (os.environ.get("CARGO_TARGET_DIR") or "target") / folder / name


def core_rule_set(named, work):
    """The folder of a release: crs-setup.conf.example and rules/."""
    if named:
        return pathlib.Path(named).resolve()
    data = test_data_crs()
    if data:
        return data
    if not (DEBIAN_CRS / "rules").is_dir():
        sys.exit("compare: no Core Rule Set: name a release's folder with --crs, or install Debian's modsecurity-crs")
    # Debian keeps the set-up elsewhere.
    folder = work / "debian-crs"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(DEBIAN_CRS / "rules", folder / "rules", symlinks=False)
    shutil.copy("/etc/modsecurity/crs/crs-setup.conf", folder / "crs-setup.conf.example")
    return folder


def test_data_crs():
    """The release among the test data, if they are there."""
    data = pathlib.Path(os.environ.get("HOP3_TEST_DATA") or ROOT.parent / "shared").resolve() / "crs"
    return data if (data / "rules").is_dir() else None


def version_of(crs):
    text = (crs / "rules" / "REQUEST-901-INITIALIZATION.conf").read_text(encoding="utf-8")
    found = re.search(r"ver:.OWASP_CRS/([0-9.]+)", text)
    return f"OWASP CRS {found.group(1)}" if found else str(crs)


def machine():
    model = next(
        (line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="ascii") if "model name" in line),
        platform.machine(),
    )
    return f"{os.cpu_count()} cores, {model}, Linux {platform.release()}"


def configuration(work, crs, name, *, own="", paranoia=1, multipart=True):
    """The engine's own settings around the rules; those that Hop3 has for itself are the same."""
    strict = (
        'SecRule MULTIPART_STRICT_ERROR "!@eq 0" "id:200003,phase:2,t:none,log,deny,status:400,'
        "msg:'Multipart request body failed strict validation.'\"\n"
    )
    text = f"""SecRuleEngine On
SecRequestBodyAccess On
SecRequestBodyLimit 52428800
SecRequestBodyNoFilesLimit 1048576
SecRequestBodyLimitAction Reject
SecResponseBodyAccess Off
SecArgumentsLimit 1000
SecPcreMatchLimit 100000
SecPcreMatchLimitRecursion 100000
SecAuditEngine Off
{own}SecRule REQUEST_HEADERS:Content-Type "^(?:application(?:/soap\\+|/)|text/)xml" \\
    "id:200000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "^application/json" \\
    "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
SecRule REQBODY_ERROR "!@eq 0" "id:200002,phase:2,t:none,log,deny,status:400,msg:'Failed to parse request body.'"
{strict if multipart else ""}SecAction "id:200100,phase:1,nolog,pass,t:none,\\
    setvar:tx.blocking_paranoia_level={paranoia},setvar:tx.detection_paranoia_level={paranoia},\\
    setvar:tx.paranoia_level={paranoia},setvar:tx.executing_paranoia_level={paranoia}"
Include {crs}/crs-setup.conf.example
Include {crs}/rules/*.conf
"""
    path = work / f"{name}.conf"
    path.write_text(text, encoding="utf-8")
    return path


def run(command, **more):
    """Runs a step of an installation; its last words are the reason when it fails."""
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=400, **more)
    except FileNotFoundError:
        raise Unavailable(f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"`{' '.join(map(str, command[:3]))}` took too long") from None
    except subprocess.CalledProcessError as failed:
        words = (failed.stderr or failed.stdout).strip().splitlines()
        raise Unavailable(words[-1] if words else f"{command[0]} failed") from None


def _c_program(work):
    program, source = work / "libmodsecurity", SOURCES / "libmodsecurity.c"
    if not pathlib.Path("/usr/include/modsecurity/modsecurity.h").exists():
        raise Unavailable("Debian's libmodsecurity-dev is not installed")
    run(["cc", "-O2", "-o", program, source, "-ldl"])
    return program


def libmodsecurity(work, crs, corpus, turns):
    """Debian's library."""
    if not DEBIAN_LIBRARY.exists():
        raise Unavailable("Debian's libmodsecurity3 is not installed")
    conf = configuration(work, crs, "libmodsecurity")
    return list(map(str, [_c_program(work), DEBIAN_LIBRARY, conf, corpus, *turns]))


def libmodsecurity_wheel(work, crs, corpus, turns):
    """The newer library that PyPI's package brings."""
    folder = work / "wheel"
    if not folder.is_dir():
        run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", work, WHEEL])
        wheel = next(work.glob("libmodsecurity-*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    library = next(folder.glob("libmodsecurity.libs/libmodsecurity-*.so*"), None)
    if library is None:
        raise Unavailable("the wheel holds no libmodsecurity")
    conf = configuration(work, crs, "libmodsecurity")
    return list(map(str, [_c_program(work), library, conf, corpus, *turns]))


def _coraza(work, crs, corpus, turns, name, prefilter):
    program = work / "coraza"
    run(["go", "build", "-o", program, "."], cwd=SOURCES / "coraza")
    own = f"SecRequestBodyInMemoryLimit 52428800\nSecRxPreFilter {'On' if prefilter else 'Off'}\n"
    conf = configuration(work, crs, name, own=own)
    return list(map(str, [program, conf, corpus, *turns]))


def coraza(*settings):
    return _coraza(*settings, "coraza", prefilter=False)


def coraza_prefilter(*settings):
    return _coraza(*settings, "coraza-prefilter", prefilter=True)


def _python312():
    """It needs a newer Python than Debian 12 has."""
    found = [shutil.which(f"python3.{minor}") for minor in (14, 13, 12)] + [sys.executable]
    versions = pathlib.Path(os.environ.get("PYENV_ROOT") or pathlib.Path.home() / ".pyenv") / "versions"
    found += sorted(map(str, versions.glob("3.1[2-9].*/bin/python3")), reverse=True)
    for python in filter(None, found):
        check = "import sys; sys.exit(sys.version_info < (3, 12))"
        if subprocess.run([python, "-c", check], capture_output=True, check=False).returncode == 0:
            return python
    raise Unavailable("it needs Python 3.12 or newer, and none is installed")


def lewaf(work, crs, corpus, turns):
    folder = work / "lewaf"
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        shutil.rmtree(folder, ignore_errors=True)
        run([_python312(), "-m", "venv", folder])
        run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", LEWAF])
        (folder / "installed").touch()
    # It knows no MULTIPART_STRICT_ERROR.
    conf = configuration(work, crs, "lewaf", multipart=False)
    return list(map(str, [python, "-B", SOURCES / "with_lewaf.py", conf, corpus, *turns]))


# Name, rounds of the asked ones, and how to get the command from a workspace, a release, a corpus, and the turns: how
# many rounds, the CPU seconds that a label takes in one at least, and at most.
ALL = [
    ("libmodsecurity", lambda rounds: rounds, libmodsecurity),
    ("libmodsecurity-pypi", lambda rounds: rounds, libmodsecurity_wheel),
    ("coraza", lambda rounds: min(rounds, 4), coraza),
    ("coraza-prefilter", lambda rounds: min(rounds, 4), coraza_prefilter),
    ("lewaf", lambda rounds: min(rounds, 2), lewaf),
]
