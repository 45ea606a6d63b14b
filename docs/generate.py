"""Write docs/configuration.md, docs/cli.md, both in Chinese, too, and docs/emulator-numbers.md from the program itself.

`--check` only says whether they are stale.

The prose heads are here, the tables come from `answerback.config` and from the command line's own help.
"""
# ruff: noqa: INP001  # a script, not a package

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from answerback.cli.language import set_language
from answerback.cli.main import app
from answerback.cli.typer_language import translate_help
from answerback.config import PREFIX, CertificateSettings, ChannelSettings, EndpointSettings, Settings, format_value
from answerback.domain.alert_rules import RULES, BaseRule
from answerback.emulator.outcomes import SCRIPT_ROWS
from answerback.i18n import Language, Text

HERE = Path(__file__).parent
_EXAMPLE = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)

CONFIGURATION_HEAD = """\
# Configuration

<!-- Made by `make docs` from src/answerback/config/: edit that, or docs/generate.py for the prose. -->

Answerback runs without any configuration. Settings are read once, at startup; a change takes effect after a restart.
The first of these that has a setting wins:

1. the command line: `--host`, `--port`, `--data-dir`;
2. the environment: `ANSWERBACK_<SECTION>__<NAME>`, with two underscores in the middle;
3. the TOML file: `--config FILE`, or `answerback.toml` in the working directory if it is there.

An unknown setting or an invalid value stops the start with one line that names it.
Names that end in `_s` are seconds. `answerback config show` shows every setting with its current value; secrets are
hidden.

```toml
# answerback.toml
[server]
host = "127.0.0.1"
public_url = "https://voice.example.com"
data_dir = "/var/lib/answerback"

[channels.default]
token = "K3v9sYpW2mQx7LdR5tZa"
sdkappid = "1400000001"

[channels.alerts]
token = "9fHc4BnUe6TyXo1WqJ8k"
sdkappid = "1400000002"
```

The same without a file:

```sh
export ANSWERBACK_SERVER__PUBLIC_URL=https://voice.example.com
export ANSWERBACK_CHANNELS__DEFAULT__TOKEN=K3v9sYpW2mQx7LdR5tZa
export ANSWERBACK_CHANNELS__ALERTS__TOKEN=9fHc4BnUe6TyXo1WqJ8k
```

A relative `server.data_dir` is relative to the working directory, so use an absolute one for a service. Commands that
read the ledger (`calls`, `callbacks`, `quarantine`, `migrate`, `doctor`) read the same settings: run them in
the same directory, or pass `--config` or `--data-dir`.
"""

CHANNELS_TAIL = """\
The section is repeated for each channel: `[channels.<name>]`. A name is lowercase letters, digits, `-` and `_`.

- `default` always exists. Without a token its URL is `/voice/callback`, open to whoever can reach it. With a token its
  URL is `/voice/callback/<token>`, and `/voice/callback` answers 404.
- Every other channel needs a token. Its URL is `/voice/callback/<token>`.
- A token is 16 to 128 letters, digits, `-` or `_`. Two channels cannot share one. This generates one:
  `python3 -c 'import secrets; print(secrets.token_urlsafe(24))'`.
- Renaming a channel does not rename it in the ledger: earlier calls stay under the old name.
- In the environment a channel is `ANSWERBACK_CHANNELS__<NAME>__TOKEN`; names are lowercased, so `ALERTS` is the channel
  `alerts`.
"""

CERTIFICATES_TAIL = """\
The section is repeated for each certificate: `[certificates.<name>]`. An endpoint refers to it by
`certificate`, whether the endpoint comes from this file, `/v1/endpoints` or the console: only this file says which files are
read. They are read at startup, which fails if one cannot be used. A renewed file is read again within a minute; while it cannot
be used, the previous one stays in use and the log says `certificate_invalid`. Processes that share a ledger need the same
certificates.
"""

ENDPOINTS_TAIL = """\
The section is repeated for each endpoint: `[endpoints.<name>]`. A name is lowercase letters, digits, `-` and `_`, and not
digits alone. [relay.md](relay.md) describes what endpoints receive.

- Endpoints of the config file are set from it at each start; otherwise they can only be enabled, disabled and tested.
  Endpoints created through `/v1/endpoints` or `answerback endpoints` are not in this file.
- One that is removed from the file is disabled. Its deliveries wait; `answerback endpoints remove NAME` cancels them.
- A generated secret is never shown; `answerback endpoints rotate-secret NAME` generates another one and shows it.
"""

RULES_HEAD = """\
The section is repeated for each rule: a name is lowercase letters, digits, `-` and `_`. `metric` says what it measures and
which other settings it has; these are common to all. [alerts.md](alerts.md) describes when a rule fires and resolves.
"""

CLI_HEAD = Text(
    """\
# The command line

[中文](cli.zh-CN.md)

<!-- Made by `make docs` from the program's own help. -->

`answerback COMMAND --help` says the same. `--json` prints JSON in place of a table. Exit status 0 is success, 1 a
failure, explained in one line on standard error, and 2 an invalid command line.
Phone numbers are masked unless `--unmask` is given.

Help, messages and errors are in English, or in Chinese where the locale is Chinese (`LC_ALL`, `LC_MESSAGES`, `LANG`). `--lang en` and
`--lang zh` choose, anywhere on the line. In Chinese, too, these stay as they are: JSON, CSV and all else that programs read, but for the
report of `conform`; logs; names of fields and values as they are in `/v1`, such as `answered`; what another program said, such as a database.
""",
    """\
# 命令行

[English](cli.md)

<!-- 由 `make docs` 根据程序自身的帮助生成。 -->

`answerback COMMAND --help` 显示同样的内容。`--json` 输出 JSON 而不是表格。退出码：0 成功；1 失败，标准错误输出中用一行说明原因；2 命令行有误。
号码默认脱敏，加 `--unmask` 才显示完整号码。

系统区域设置（`LC_ALL`、`LC_MESSAGES`、`LANG`）为中文时，帮助、提示和错误为中文，否则为英文。`--lang en` 和 `--lang zh` 可明确指定，写在命令行的任意位置。
以下内容不随语言改变：JSON、CSV 等供程序读取的输出（`conform` 的报告除外）；日志；与 `/v1` 一致的字段名和取值，如 `answered`；数据库等其他程序给出的信息。
""",
)


def configuration() -> str:
    """The whole of docs/configuration.md."""
    parts = [CONFIGURATION_HEAD]
    for section, field in Settings.model_fields.items():
        model = field.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            fields = {name: setting for name, setting in model.model_fields.items() if name != "rules"}
            rows = [_setting(f"{section}.{name}", setting) for name, setting in fields.items()]
            parts.append(f"## `[{section}]`\n\n{model.__doc__}\n\n{_table(_SETTING_COLUMNS, rows)}")
    parts.extend(_rules())
    rows = [_setting(f"channels.<name>.{name}", setting) for name, setting in ChannelSettings.model_fields.items()]
    parts.append(
        f"## `[channels.<name>]`\n\n{ChannelSettings.__doc__}\n\n{_table(_SETTING_COLUMNS, rows)}\n{CHANNELS_TAIL}"
    )
    rows = [
        _setting(f"certificates.<name>.{name}", setting) for name, setting in CertificateSettings.model_fields.items()
    ]
    parts.append(
        f"## `[certificates.<name>]`\n\n{CertificateSettings.__doc__}\n\n{_table(_SETTING_COLUMNS, rows)}\n{CERTIFICATES_TAIL}"
    )
    rows = [_setting(f"endpoints.<name>.{name}", setting) for name, setting in EndpointSettings.model_fields.items()]
    parts.append(
        f"## `[endpoints.<name>]`\n\n{EndpointSettings.__doc__}\n\n{_table(_SETTING_COLUMNS, rows)}\n{ENDPOINTS_TAIL}"
    )
    return "\n".join(parts)


def _rules() -> Iterator[str]:
    """The section of alert rules: what all of them have, then what each kind has of its own."""
    shared = [_setting(f"alerts.rules.<name>.{name}", setting) for name, setting in BaseRule.model_fields.items()]
    yield f"## `[alerts.rules.<name>]`\n\n{RULES_HEAD}\n{_table(_SETTING_COLUMNS, shared)}"
    for rule in RULES:
        own = {name: setting for name, setting in rule.model_fields.items() if name not in BaseRule.model_fields}
        metric = own.pop("metric").default
        rows = [_setting(f"alerts.rules.<name>.{name}", setting) for name, setting in own.items()]
        yield f'### `metric = "{metric}"`\n\n{rule.__doc__}\n\n{_table(_SETTING_COLUMNS, rows)}'


_SETTING_COLUMNS = ("setting", "default", "what it is", "variable")


def _setting(name: str, setting: FieldInfo) -> tuple[str, ...]:
    variable = f"{PREFIX}{name.upper().replace('.', '__')}"
    default = (
        "required"
        if setting.is_required()
        else f"`{format_value(setting.default)}`"
        if format_value(setting.default)
        else "-"
    )
    meaning = "; ".join(filter(None, [setting.description or "", *_choices(setting)]))
    return (f"`{name}`", default, meaning, f"`{variable}`")


def _choices(setting: FieldInfo) -> Iterator[str]:
    if get_origin(setting.annotation) is Literal:
        yield "one of " + ", ".join(f"`{choice}`" for choice in get_args(setting.annotation))
    for kind in (setting.annotation, *get_args(setting.annotation)):
        if isinstance(kind, type) and issubclass(kind, Enum):
            yield "one of " + ", ".join(f"`{choice.value}`" for choice in kind)


def command_line(language: Language) -> str:
    """The whole of docs/cli.md, or of docs/cli.zh-CN.md."""
    set_language(language)
    group = typer.main.get_command(app)
    context = group.context_class(group, info_name="answerback")
    commands = list(_commands(group, "answerback", context))
    overview = _table(
        COMMAND_COLUMNS.translate(language).split("|"), [_summary(path, command) for path, command in commands]
    )
    sections = [part for path, command in commands for part in _section(path, command, language)]
    set_language(Language.EN)
    return "\n".join([CLI_HEAD.translate(language), overview, *sections])


COMMAND_COLUMNS = Text("command|what it does", "命令|作用")
PARAMETER_COLUMNS = Text("|what it is", "|含义")
ONE_OF = Text("One of {}.", "取值：{}。")
AS = Text("As {}.", "格式如 {}。")
DEFAULT = Text("Default `{}`.", "默认 `{}`。")


def _commands(command: Any, path: str, context: Any) -> Iterator[tuple[str, Any]]:
    """The command with its full name, or all commands below it."""
    if hasattr(command, "commands"):
        for name, below in command.commands.items():
            yield from _commands(below, f"{path} {name}", context)
    else:
        translate_help(command, context)
        yield path, command


def _summary(path: str, command: Any) -> tuple[str, str]:
    return f"[`{path}`](#{path.replace(' ', '-')})", re.split(r"(?<=[.:])\s|(?<=。)", command.help)[0].rstrip(".:。")


def _section(path: str, command: Any, language: Language) -> Iterator[str]:
    arguments = [_argument(parameter) for parameter in command.params if _is_argument(parameter)]
    yield f"## {path}\n\n{command.help}\n\n```\n{' '.join([path, '[OPTIONS]', *arguments])}\n```\n"
    rows = [(f"`{_spelled(parameter)}`", _meaning(parameter, language)) for parameter in command.params]
    yield _table(PARAMETER_COLUMNS.translate(language).split("|"), rows)


def _is_argument(parameter: Any) -> bool:
    return not parameter.opts[0].startswith("-")


def _argument(parameter: Any) -> str:
    word = parameter.name.upper() + ("..." if parameter.nargs == -1 else "")
    return word if parameter.required else f"[{word}]"


def _spelled(parameter: Any) -> str:
    if _is_argument(parameter):
        return _argument(parameter)
    return parameter.opts[0] if parameter.is_flag else f"{parameter.opts[0]} {parameter.name.upper()}"


def _meaning(parameter: Any, language: Language) -> str:
    words = [parameter.help or ""]
    kind = parameter.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        words.append(ONE_OF.translate(language).format(", ".join(f"`{choice.value}`" for choice in kind)))
    formats = parameter.type_descriptor.parameter_info.formats
    if formats:
        examples = (f"`{_EXAMPLE.strftime(form)}`" for form in formats)
        words.append(AS.translate(language).format(", ".join(examples)))
    default = getattr(parameter.default, "value", parameter.default)
    if not isinstance(default, bool | NoneType) and not callable(default):
        words.append(DEFAULT.translate(language).format(default))
    return Text(" ", "").translate(language).join(words)


def _table(columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |\n" for line in lines)


NUMBERS_HEAD = """\
# The numbers of the emulator

<!-- Made by `make docs` from src/answerback/emulator/outcomes.py. -->

The last three digits of the number decide what a call does. `answerback emulate --numbers` shows the same. [The emulator](emulator.md)

号码的最后三位决定通话如何进行。`answerback emulate --numbers` 显示同一张表。[模拟器](emulator.zh-CN.md)
"""


def numbers() -> str:
    """The whole of docs/emulator-numbers.md."""
    rows = [(f"…{row.ending}", row.en, row.zh) for row in SCRIPT_ROWS]
    return f"{NUMBERS_HEAD}\n{_table(('number', 'what happens', '会发生什么'), rows)}"


def main() -> int:
    """Write all, or with --check compare; the exit status."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--check", action="store_true", help="write nothing, exit 1 if a document is stale")
    only_check = arguments.parse_args().check
    stale = []
    for name, text in (
        ("configuration.md", configuration()),
        ("cli.md", command_line(Language.EN)),
        ("cli.zh-CN.md", command_line(Language.ZH)),
        ("emulator-numbers.md", numbers()),
    ):
        path = HERE / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not only_check:
                path.write_text(text, encoding="utf-8")
    if stale:
        said = "stale, run `make docs`" if only_check else "written"
        sys.stdout.write(f"docs/{', docs/'.join(stale)}: {said}\n")
    return 1 if only_check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
