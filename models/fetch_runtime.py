#!/usr/bin/env python3
"""Puts the ONNX Runtime library that packetboat loads into a folder: python3 models/fetch_runtime.py .runtime

The library comes out of the official Python wheel, fetched with pip from whatever package index this machine uses. Both
the wheel and every file taken from it are pinned by checksum, and a file appears in the folder whole or not at all. When
the folder is complete already, nothing is fetched. Only the standard library is needed; without pip a private virtual
environment is made for it.

Not here: the CUDA libraries (see the README on GPUs) and anything that the model itself needs.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

VERSION = "1.31.1"
PYTHON = "3.12"
LIBRARY = "libonnxruntime.so." + VERSION
SHARED = "libonnxruntime_providers_shared.so"
MEMBERS = {
    LIBRARY: "onnxruntime/capi/" + LIBRARY,
    SHARED: "onnxruntime/capi/" + SHARED,
    "LICENSE.onnxruntime": "onnxruntime/LICENSE",
    "ThirdPartyNotices.onnxruntime.txt": "onnxruntime/ThirdPartyNotices.txt",
}
LICENCES = {
    "LICENSE.onnxruntime": "2f07c72751aed99790b8a4869cf2311df85a860b22ded05fa22803587a48922c",
    "ThirdPartyNotices.onnxruntime.txt": "143764b952fdb1a7c69ce653bfba74a7744d6a8a573bfb73e235fba356c83de3",
}
# per machine: the wheel's platform tag, the wheel's checksum, each library's checksum
MACHINES = {
    "x86_64": (
        "manylinux_2_28_x86_64",
        "1f3dea47f2f0e5117c2404cea7d21fd253ae7836a3bf167a501cdfbb2600d536",
        {
            LIBRARY: "fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3",
            SHARED: "086ec1d5388f64153d9c63470d126693db9a182c8ce236d3a1119068471b8a0d",
        },
    ),
    "aarch64": (
        "manylinux_2_28_aarch64",
        "0b9a492176886992e0e875f06bc0367e333f5fff11711a2d642e18b02f3009cc",
        {
            LIBRARY: "8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467",
            SHARED: "3b6be288fbfb7dff8770d08a23defdde18e8f7e0f5a2b344a0e5e238c999ea88",
        },
    ),
}


class Failure(Exception):
    """Something a person has to mend; the text says how."""


def checksum(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def this_machine():
    name = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    if platform.system() != "Linux" or name not in MACHINES:
        raise Failure(
            "no pinned ONNX Runtime for %s on %s; put libonnxruntime %s for it somewhere and name it with "
            "[model] runtime = \"/path/to/the/library\"" % (platform.system(), name, VERSION)
        )
    return name


def complete(folder, pins):
    return all((folder / name).is_file() and checksum(folder / name) == pin for name, pin in pins.items())


def has_pip(python):
    probe = subprocess.run([str(python), "-m", "pip", "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return probe.returncode == 0


def python_with_pip(work):
    """This Python where it has pip, else one in a fresh virtual environment under `work`."""
    if has_pip(sys.executable):
        return sys.executable
    home = Path(work) / "venv"
    made = subprocess.run([sys.executable, "-m", "venv", str(home)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    python = home / "bin" / "python"
    if made.returncode == 0 and has_pip(python):
        return str(python)
    raise Failure("this Python has neither pip nor a working venv; run: sudo apt install python3-venv (or python3-pip)")


def download(work, machine):
    tag, pin, _ = MACHINES[machine]
    command = [python_with_pip(work), "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--python-version", PYTHON, "--implementation", "cp", "--platform", tag]
    command += ["--dest", str(work), "onnxruntime==" + VERSION]
    if subprocess.run(command).returncode != 0:
        raise Failure("pip could not download onnxruntime %s (its message is above); check the network and pip's index settings, "
                      "then run this again" % VERSION)
    wheels = sorted(Path(work).glob("onnxruntime-*.whl"))
    if len(wheels) != 1:
        raise Failure("pip left %d wheels where one was expected; run this again" % len(wheels))
    found = checksum(wheels[0])
    if found != pin:
        raise Failure("the wheel %s has the checksum %s and not the pinned %s: it is not the published file; nothing was "
                      "installed, check the package index" % (wheels[0].name, found, pin))
    return wheels[0]


def extract(wheel, folder, work, pins):
    """Each file is written and checked beside its place, then moved there in one step."""
    with zipfile.ZipFile(wheel) as archive:
        for name, pin in pins.items():
            part = Path(work) / name
            with archive.open(MEMBERS[name]) as source, open(part, "wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
                target.flush()
                os.fsync(target.fileno())
            if checksum(part) != pin:
                raise Failure("%s came out of the wheel with a wrong checksum; check the disk and run this again" % name)
            os.chmod(part, 0o755 if ".so" in name else 0o644)
            os.replace(part, folder / name)


def fetch(folder, machine):
    pins = dict(MACHINES[machine][2], **LICENCES)
    if complete(folder, pins):
        print("ONNX Runtime %s is in %s already" % (VERSION, folder))
        return
    print("fetching ONNX Runtime %s for %s (about 24 MB) into %s" % (VERSION, machine, folder), flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    # inside the folder: the move at the end must stay on one file system
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as work:
        extract(download(work, machine), folder, work, pins)
    print("ONNX Runtime %s is ready" % VERSION)


def main(arguments):
    if len(arguments) not in (1, 2) or any(argument in ("-h", "--help") for argument in arguments):
        print("usage: python3 models/fetch_runtime.py FOLDER [x86_64|aarch64]", file=sys.stderr)
        return 2
    try:
        machine = arguments[1] if len(arguments) == 2 else this_machine()
        if machine not in MACHINES:
            raise Failure("no pinned ONNX Runtime for %s; known: %s" % (machine, ", ".join(sorted(MACHINES))))
        fetch(Path(arguments[0]), machine)
    except (Failure, OSError, zipfile.BadZipFile) as problem:
        print("fetch_runtime: %s" % problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
