"""docker-compose.yml as Debian's docker-compose understands it, and its services run as processes of this machine."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NEEDS = "these tests need Debian's docker-compose and python3-yaml: apt-get install docker-compose python3-yaml"

ANSWERS = {
    "MILEPOST_PUBLIC_URL": "https://news.fjellsko.example",
    "MILEPOST_SITE_URL": "https://www.fjellsko.example",
    "MILEPOST_CONTROLLER_NAME": "Fjellsko Sport AS",
    "MILEPOST_CONTROLLER_ADDRESS": "Løypa 1, 0000 Fjellby, Norway",
    "MILEPOST_CONTROLLER_CONTACT": "privacy@fjellsko.example",
    "MILEPOST_SENDER_NAME": "Fjellsko Training Hub",
    "MILEPOST_SENDER_ADDRESS": "training@fjellsko.example",
    "MILEPOST_RELAY_HOST": "catcher",
}
"""What an operator must say in .env."""

REGISTER = ROOT / "docker/processors.example.toml"
REHEARSAL = ANSWERS | {
    "MILEPOST_RELAY_PORT": "2525",
    "MILEPOST_RELAY_TLS": "opportunistic",
    "PROCESSORS_FILE": str(REGISTER),
}


def docker_compose(directory: Path, answers: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """`docker-compose config` on the checkout's file with these answers in .env and nothing else in the environment."""
    assert shutil.which("docker-compose"), NEEDS
    dotenv = directory / "answers.env"
    dotenv.write_text("".join(f"{name}={value}\n" for name, value in answers.items()), encoding="utf-8")
    command = ["docker-compose", "--file", str(ROOT / "docker-compose.yml"), "--env-file", str(dotenv)]
    command += ["--profile", "catcher", "config"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "LANG": "C.UTF-8"}
    return subprocess.run(command, cwd=directory, env=environment, check=False, capture_output=True, text=True)


def read_compose(directory: Path, answers: Mapping[str, str]) -> dict[str, Any]:
    """The whole file, variables and anchors resolved."""
    done = docker_compose(directory, answers)
    assert done.returncode == 0, done.stderr
    # The project's own environment has no YAML parser and needs none; Debian's docker-compose brings one.
    convert = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)"
    read = subprocess.run(
        ["/usr/bin/python3", "-c", convert], input=done.stdout, check=False, capture_output=True, text=True
    )
    assert read.returncode == 0, f"{NEEDS}\n{read.stderr}"
    document: dict[str, Any] = json.loads(read.stdout.replace("$$", "$"))
    return document


def mounts(service: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    """Volume → (where it is mounted, whether it can be written)."""
    return {name: where for name, where in _mounted(service).items() if "/" not in name}


def files(service: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    """The same for files of the host."""
    return {name: where for name, where in _mounted(service).items() if "/" in name}


def _mounted(service: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    found = {}
    for volume in service.get("volumes", []):
        if isinstance(volume, str):
            source, target, mode = (*volume.split(":"), "rw")[:3]
            found[source] = (target, "ro" not in mode)
        else:
            found[volume["source"]] = (volume["target"], not volume.get("read_only", False))
    return found


def installed_as_in_the_image(directory: Path) -> Path:
    """What the Dockerfile's last `pip install` makes of the files that it copies, and of those alone."""
    context, site = directory / "context", directory / "site"
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    for line in lines:
        if line.startswith("COPY ") and "--from" not in line:
            *sources, target = line.split()[1:]
            for source in sources:
                into_directory = target.endswith("/")
                place = context / target / Path(source).name if into_directory else context / target
                place.parent.mkdir(parents=True, exist_ok=True)
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(ROOT / source, place)
    last = next(line for line in reversed(lines) if "pip install" in line)
    options = last.partition("pip install ")[2].split()
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(site), *options]
    done = subprocess.run(command, cwd=context, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{last}\n{done.stdout}{done.stderr}"
    return site


@dataclass
class Host:
    """Stands in for Docker: volumes are directories, every service has the same address on loopback."""

    directory: Path
    address: str
    services: dict[str, Any]
    path: list[Path]
    site: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def volume(self, name: str) -> Path:
        place = self.directory / "volumes" / name
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        return place

    def register(self) -> Path:
        """The example, where the catcher has the address that it has here."""
        place = self.directory / "processors.toml"
        if not place.exists():  # once: services that are starting read it
            example = REGISTER.read_text(encoding="utf-8")
            place.write_text(example.replace('"catcher"', f'"{self.address}"'), encoding="utf-8")
        return place

    def translated(self, service: str, text: str) -> str:
        """Mount points become directories; the service's own address and its neighbours' names become ours."""
        for name, (target, _) in mounts(self.services[service]).items():
            text = text.replace(target, str(self.volume(name)))
        for target, _ in files(self.services[service]).values():
            text = text.replace(target, str(self.register()))
        text = re.sub(r"\b(?:0\.0\.0\.0|127\.0\.0\.1)\b", self.address, text)
        return re.sub(r"(?<=-host )(?:postgres|redis)\b", self.address, text)

    def environment(self, service: str) -> dict[str, str]:
        given = self.services[service].get("environment") or {}
        path = os.pathsep.join([*map(str, self.path), os.environ["PATH"]])
        return {"PATH": path, "PYTHONPATH": str(self.site), "LANG": "C.UTF-8", "HOME": str(self.directory)} | {
            name: self.address if value in self.services else self.translated(service, value)
            for name, value in given.items()
            if value is not None
        }

    def command(self, service: str) -> list[str]:
        return [self.translated(service, word) for word in self.services[service]["command"]]

    def run(self, service: str, command: list[str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a one-shot service, or another command in a service's place, to its end."""
        return subprocess.run(
            command or self.command(service),
            cwd=self.directory,
            env=self.environment(service),
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def start(self, service: str) -> None:
        with self.log(service).open("wb") as log:
            self.running[service] = subprocess.Popen(
                self.command(service), cwd=self.directory, env=self.environment(service), stdout=log, stderr=log
            )

    def log(self, service: str) -> Path:
        return self.directory / f"{service}.log"

    def said(self, service: str) -> str:
        log = self.log(service)
        return log.read_text(encoding="utf-8", errors="replace")[-4000:] if log.exists() else ""

    def check_health(self, service: str) -> subprocess.CompletedProcess[str]:
        kind, *command = self.services[service]["healthcheck"]["test"]
        assert kind == "CMD"
        return self.run(service, [self.translated(service, word) for word in command])

    def wait_until_healthy(self, service: str, seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while (checked := self.check_health(service)).returncode:
            process = self.running.get(service)
            assert process is None or process.poll() is None, f"{service} ended: {self.said(service)}"
            assert time.monotonic() < end, f"{service}: {checked.stdout}{checked.stderr}\n{self.said(service)}"
            time.sleep(0.2)

    def stop(self, service: str) -> int:
        """As Docker does: SIGTERM, and SIGKILL after the service's time is up (which fails the caller's check)."""
        process = self.running.pop(service)
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
