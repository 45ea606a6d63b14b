"""What runs a program in each language, with the vendor's SDKs installed from that language's registry."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import nodejs
import pytest

from answerback.emulator.snippets import SnippetLanguage

_INSTALL_TIMEOUT_S = 900
_RUN_TIMEOUT_S = 120
DIRECT = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "")
"""Variables that let no proxy come between."""


_POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>sends</groupId><artifactId>sends</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>com.github.qcloudsms</groupId><artifactId>qcloudsms</artifactId><version>1.0.6</version></dependency>
    <dependency>
      <groupId>com.tencentcloudapi</groupId><artifactId>tencentcloud-sdk-java-vms</artifactId><version>3.1.894</version>
    </dependency>
  </dependencies>
</project>
"""
_PROJECT = """\
<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup><OutputType>Exe</OutputType><TargetFramework>net8.0</TargetFramework></PropertyGroup>
  <ItemGroup>
    <PackageReference Include="qcloud.qcloudsms_csharp" Version="0.1.6" />
    <PackageReference Include="TencentCloudSDK.Vms" Version="*" />
  </ItemGroup>
</Project>
"""


class InstallFailed(Exception):
    """A registry does not give what is asked for; the message is its client's."""


class Toolchain(Protocol):
    """Installs a language's SDKs in a directory, once, and says how a program is run there."""

    programs: Sequence[str]
    """What has to be on the path."""

    def install(self, home: Path) -> None:
        """Install what is missing."""

    def command(self, program: Path, options: Sequence[str]) -> Sequence[str | Path]:
        """Run `program`, which is in the directory; `options` are the interpreter's."""


class Python:
    """The SDKs that the tests themselves depend on."""

    programs: Sequence[str] = ()

    def install(self, home: Path) -> None:
        """Nothing: they are there."""

    def command(self, program: Path, options: Sequence[str]) -> Sequence[str | Path]:
        """By this interpreter."""
        return [sys.executable, *options, program]


class Node:
    """From npm, by the Node of the tests."""

    programs: Sequence[str] = ()

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def install(self, home: Path) -> None:
        """Both SDKs, where Node looks from the directory."""
        modules = nodejs.install(self._config, "qcloudsms_js@0.1.1", "tencentcloud-sdk-nodejs-common@4.1.220")
        if not (home / "node_modules").exists():
            (home / "node_modules").symlink_to(modules)

    def command(self, program: Path, options: Sequence[str]) -> Sequence[str | Path]:
        """By Node's wheel."""
        return [nodejs.NODE, *options, program]


class Java:
    """From Maven Central; the source is run as it is."""

    programs: Sequence[str] = ("mvn", "java")

    def install(self, home: Path) -> None:
        """The jars, and their names as a class path."""
        (home / "pom.xml").write_text(_POM)
        if not (home / "classpath").exists():
            _run(home, ["mvn", "-q", "-B", "dependency:build-classpath", "-Dmdep.outputFile=classpath"])

    def command(self, program: Path, options: Sequence[str]) -> Sequence[str | Path]:
        """As a single source file."""
        return ["java", *options, "-cp", (program.parent / "classpath").read_text(), program]


class Php:
    """From Packagist."""

    programs: Sequence[str] = ("php", "composer")

    def install(self, home: Path) -> None:
        """Both, in vendor/."""
        if not (home / "vendor" / "autoload.php").exists():
            packages = ["qcloudsms/qcloudsms_php:^0.1", "tencentcloud/vms:^3.0"]
            _run(home, ["composer", "require", "-n", "-q", *packages], COMPOSER_ALLOW_SUPERUSER="1")

    def command(self, program: Path, options: Sequence[str]) -> Sequence[str | Path]:
        """By the command line's PHP, which hides what is deprecated in older SDKs."""
        return ["php", "-d", "error_reporting=8191", *options, program]


class Go:
    """From the module proxy: the last version that is one module for all products, which every proxy has."""

    programs: Sequence[str] = ("go",)

    def install(self, home: Path) -> None:
        """A module that requires the SDK."""
        if not (home / "go.sum").exists():
            (home / "go.mod").write_text("module sends\n")
            _run(home, ["go", "get", "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/vms/v20200902@v1.0.162"])

    def command(self, program: Path, options: Sequence[str]) -> Sequence[str | Path]:
        """Compiled and run."""
        return ["go", "run", *options, program]


class CSharp:
    """From NuGet."""

    programs: Sequence[str] = ("dotnet",)

    def install(self, home: Path) -> None:
        """A project that refers to both SDKs."""
        (home / "sends.csproj").write_text(_PROJECT)
        _run(home, ["dotnet", "restore"])

    def command(self, program: Path, options: Sequence[str]) -> Sequence[str | Path]:
        """The project, whose only source is the program."""
        return ["dotnet", "run", "--no-restore", *options, "--project", program.parent]


def toolchain(language: SnippetLanguage, config: pytest.Config) -> tuple[Toolchain, Path]:
    """What runs that language, and the directory with its SDKs; skips, with its name, where it is not here."""
    chains: dict[SnippetLanguage, Toolchain] = {
        SnippetLanguage.PYTHON: Python(),
        SnippetLanguage.NODE: Node(config),
        SnippetLanguage.JAVA: Java(),
        SnippetLanguage.PHP: Php(),
        SnippetLanguage.CSHARP: CSharp(),
        SnippetLanguage.GO: Go(),
    }
    chosen = chains[language]
    if missing := [name for name in chosen.programs if shutil.which(name) is None]:
        pytest.skip(f"{language}: {', '.join(missing)} not found")
    assert config.cache is not None
    home = config.cache.mkdir(f"sdks-{language}")
    try:
        chosen.install(home)
    except InstallFailed as error:
        pytest.skip(f"{language}: its SDKs cannot be installed here: {error}")
    return chosen, home


def run(
    chosen: Toolchain, program: Path, options: Sequence[str] = (), variables: Mapping[str, str] | None = None
) -> str:
    """What a program prints."""
    done = subprocess.run(
        chosen.command(program, options),
        cwd=program.parent,
        env=os.environ | DIRECT | dict(variables or {}),
        capture_output=True,
        text=True,
        timeout=_RUN_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def _run(home: Path, command: Sequence[str], **variables: str) -> None:
    done = subprocess.run(
        command,
        cwd=home,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=_INSTALL_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise InstallFailed(" ".join((done.stdout + done.stderr).split())[:200])
