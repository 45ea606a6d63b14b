"""Write docs/configuration.md, docs/cli.md and docs/emulator-numbers.md, each also in Chinese, from the program itself.

`--check` only says whether they are stale.

The prose heads are here, the tables come from `answerback.config` and from the command line's own help.
"""
# ruff: noqa: INP001  # a script, not a package

import argparse
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from answerback.cli.language import current_language, set_language, tr_setting
from answerback.cli.main import app
from answerback.cli.typer_language import translate_help
from answerback.config import PREFIX, CertificateSettings, ChannelSettings, EndpointSettings, Settings, format_value
from answerback.config.section import RELOADABLE
from answerback.domain.alert_rules import RULES, BaseRule
from answerback.emulator.outcomes import SCRIPT_ROWS
from answerback.i18n import Language, Text

HERE = Path(__file__).parent
_EXAMPLE = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)

# What is the same in both languages.
TOML_EXAMPLE = """\
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
```"""

ENVIRONMENT_EXAMPLE = """\
```sh
export ANSWERBACK_SERVER__PUBLIC_URL=https://voice.example.com
export ANSWERBACK_CHANNELS__DEFAULT__TOKEN=K3v9sYpW2mQx7LdR5tZa
export ANSWERBACK_CHANNELS__ALERTS__TOKEN=9fHc4BnUe6TyXo1WqJ8k
```"""

CREDENTIAL_EXAMPLE = """\
```ini
LoadCredential=ANSWERBACK_CHANNELS__DEFAULT__TOKEN:/etc/answerback/secrets/token
```"""

CONFIGURATION_HEAD = Text(
    f"""\
# Configuration

English | [中文](configuration.zh-CN.md)

<!-- Made by `make docs` from src/answerback/config/: edit that, or docs/generate.py for the prose. -->

Answerback runs without any configuration. Settings are read at startup. A running gateway also applies changes of the settings marked ↻ when it gets SIGHUP or
`systemctl reload` ([Reload](operations.md#reload)); other changes take effect after a restart.
If a setting is given in several places, the first of these wins:

1. the command line: `--host`, `--port`, `--data-dir`;
2. the environment: `ANSWERBACK_<SECTION>__<NAME>`, with two underscores in the middle; for a secret also a file or a credential, see below;
3. the TOML file: `--config FILE`, or `answerback.toml` in the working directory if it is there.

The gateway does not start with an unknown setting or an invalid value: one line names it.
Names that end in `_s` are seconds. `answerback config show` shows every setting with its current value; secrets are
hidden.

{TOML_EXAMPLE}

The same without a file:

{ENVIRONMENT_EXAMPLE}

**Secrets from files.** Every secret (tokens, `server.secret`, `server.admin_key`, the URLs of ledger and stream, endpoints' secrets, `alerts.notify`) can be in
a file of its own: `ANSWERBACK_<SECTION>__<NAME>_FILE` names it. White space around the secret is removed; in the file of `alerts.notify` each line is
a URL. A systemd credential with the name of the variable does the same without a variable:

{CREDENTIAL_EXAMPLE}

The gateway does not start if a secret is given in two of these ways, if its file is empty or cannot be read, or if a credential has the name of no secret setting. No error shows a secret.

A relative `server.data_dir` is relative to the working directory, so use an absolute one for a service. Commands that
read the ledger (`calls`, `callbacks`, `quarantine`, `migrate`, `doctor`) read the same settings: run them in
the same directory, or pass `--config` or `--data-dir`. `ANSWERBACK_URL`, `ANSWERBACK_KEY`, `ANSWERBACK_PROFILE` and `ANSWERBACK_CA_FILE` are not settings: they
tell the commands which [remote gateway](remote.md) to use.
""",
    f"""\
# 配置

[English](configuration.md) | 中文

<!-- 由 `make docs` 根据 src/answerback/config/ 和 cli/texts_zh/settings.py 生成。 -->

不做任何配置也能运行。设置在启动时读取；带 ↻ 的设置，运行中的网关收到 SIGHUP（或 `systemctl reload`）时也会更新（见[重新加载](operations.zh-CN.md#重新加载)），其余的改动后重启生效。同一设置在多处出现时，以先列出的为准：

1. 命令行：`--host`、`--port`、`--data-dir`；
2. 环境变量：`ANSWERBACK_<SECTION>__<NAME>`，中间是两个下划线；密钥还可以来自文件或凭据，见下文；
3. TOML 文件：`--config FILE`，或当前目录下的 `answerback.toml`（如果存在）。

设置名写错或取值无效时不会启动，并用一行指出是哪一个。名称以 `_s` 结尾的，单位为秒。`answerback config show` 显示所有设置及其当前值；密钥不显示。

{TOML_EXAMPLE}

不用文件时的等价写法：

{ENVIRONMENT_EXAMPLE}

**从文件读取密钥。** 凡是密钥（token、`server.secret`、`server.admin_key`、账本和流的 URL、端点的密钥、`alerts.notify`）都可以单独放在一个文件里，由
`ANSWERBACK_<SECTION>__<NAME>_FILE` 指明路径。首尾空白会去掉；`alerts.notify` 的文件每行一个 URL。与变量同名的 systemd 凭据作用相同，不用再设变量：

{CREDENTIAL_EXAMPLE}

同一密钥用两种方式给出、文件读不了或为空、凭据名称不是密钥设置，都不会启动。任何报错都不显示密钥内容。

`server.data_dir` 若为相对路径，则相对于当前目录，所以作为服务运行时请用绝对路径。读取账本的命令（`calls`、`callbacks`、`quarantine`、`migrate`、`doctor`）
读取同样的设置：在同一目录下运行，或传入 `--config` 或 `--data-dir`。`ANSWERBACK_URL`、`ANSWERBACK_KEY`、`ANSWERBACK_PROFILE`、`ANSWERBACK_CA_FILE` 不是设置，
而是指定命令所用的[远程网关](remote.zh-CN.md)。
""",
)

CHANNELS_TAIL = Text(
    """\
The section is repeated for each channel: `[channels.<name>]`. A name is lowercase letters, digits, `-` and `_`.

- `default` always exists. Without a token its URL is `/voice/callback`, open to whoever can reach it. With a token its
  URL is `/voice/callback/<token>`, and `/voice/callback` answers 404.
- Every other channel needs a token. Its URL is `/voice/callback/<token>`.
- A token is 16 to 128 letters, digits, `-` or `_`. Two channels cannot share one. This generates one:
  `python3 -c 'import secrets; print(secrets.token_urlsafe(24))'`.
- Renaming a channel does not rename it in the ledger: earlier calls stay under the old name.
- In the environment a channel is `ANSWERBACK_CHANNELS__<NAME>__TOKEN`; names are lowercased, so `ALERTS` is the channel
  `alerts`.
""",
    """\
每个通道一节：`[channels.<name>]`。名称只能用小写字母、数字、`-` 和 `_`。

- `default` 始终存在。没有 token 时，它的 URL 是 `/voice/callback`，凡能访问到的人都可以发送；有 token 时，URL 是 `/voice/callback/<token>`，
  `/voice/callback` 则应答 404。
- 其他通道都必须有 token，URL 是 `/voice/callback/<token>`。
- token 为 16 至 128 个字母、数字、`-` 或 `_`，各通道不能相同。生成一个：
  `python3 -c 'import secrets; print(secrets.token_urlsafe(24))'`。
- 通道改名不影响账本：以前的通话仍在旧名称下。
- 环境变量为 `ANSWERBACK_CHANNELS__<NAME>__TOKEN`；名称转为小写，`ALERTS` 即通道 `alerts`。
""",
)

CERTIFICATES_TAIL = Text(
    """\
The section is repeated for each certificate: `[certificates.<name>]`. An endpoint refers to it by
`certificate`, whether the endpoint comes from this file, `/v1/endpoints` or the console: only this file says which files are
read. They are read at startup, which fails if one cannot be used. A renewed file is read again within a minute; while it cannot
be used, the previous one stays in use and the log says `certificate_invalid`. Processes that share a ledger need the same
certificates.
""",
    """\
每个证书一节：`[certificates.<name>]`。端点用 `certificate` 引用它，无论端点来自本文件、`/v1/endpoints` 还是控制台：读取哪些文件，只由本文件决定。
启动时读取，有一个不能用就不会启动。文件更新后一分钟内重新读取；新文件不能用时继续用旧的，日志记录 `certificate_invalid`。共用一个账本的进程需要同样的证书。
""",
)

ENDPOINTS_TAIL = Text(
    """\
The section is repeated for each endpoint: `[endpoints.<name>]`. A name is lowercase letters, digits, `-` and `_`, and not
digits alone. [relay.md](relay.md) describes what endpoints receive.

- Endpoints of the config file are set from it at each start; otherwise they can only be enabled, disabled and tested.
  Endpoints created through `/v1/endpoints` or `answerback endpoints` are not in this file.
- One that is removed from the file is disabled. Its deliveries wait; `answerback endpoints remove NAME` cancels them.
- A generated secret is never shown; `answerback endpoints rotate-secret NAME` generates another one and shows it.
""",
    """\
每个端点一节：`[endpoints.<name>]`。名称只能用小写字母、数字、`-` 和 `_`，且不能全是数字。端点会收到什么，见 [relay.zh-CN.md](relay.zh-CN.md)。

- 配置文件中的端点每次启动时按文件设置；除此之外只能启用、停用和测试。通过 `/v1/endpoints` 或 `answerback endpoints` 创建的端点不在本文件中。
- 从文件中删去的端点会停用，投递保留；`answerback endpoints remove NAME` 取消这些投递。
- 自动生成的签名密钥不显示；`answerback endpoints rotate-secret NAME` 另生成一个并显示。
""",
)

RULES_HEAD = Text(
    """\
The section is repeated for each rule: a name is lowercase letters, digits, `-` and `_`. `metric` says what it measures and
which other settings it has; these are common to all. [alerts.md](alerts.md) describes when a rule fires and resolves.
""",
    """\
每条规则一节，名称只能用小写字母、数字、`-` 和 `_`。`metric` 决定测量什么，以及还有哪些设置；以下是所有规则共有的。规则何时触发、何时恢复，见
[alerts.zh-CN.md](alerts.zh-CN.md)。
""",
)

CLI_HEAD = Text(
    """\
# The command line

English | [中文](cli.zh-CN.md)

<!-- Made by `make docs` from the program's own help. -->

`answerback COMMAND --help` shows the same. `--json` prints JSON in place of a table. Exit status 0 means success, 1 a
failure, explained in one line on standard error, and 2 an invalid command line.
Phone numbers are masked unless `--unmask` is given.

Commands that have `--url` and `--profile` work on [a remote gateway](remote.md) as well as on this machine: `answerback login` stores its URL and a key.

Help, messages and errors are in Chinese if the locale is Chinese (`LC_ALL`, `LC_MESSAGES`, `LANG`), otherwise in English. `--lang en` or
`--lang zh`, anywhere on the line, chooses. Some output is the same in both languages: JSON, CSV and everything else that programs read (except the
report of `conform`); logs; the names of fields and values of `/v1`, such as `answered`; the reason why a callback was rejected, as its sender got it;
and messages of other programs, such as a database or an endpoint.
""",
    """\
# 命令行

[English](cli.md) | 中文

<!-- 由 `make docs` 根据程序自身的帮助生成。 -->

`answerback COMMAND --help` 显示同样的内容。`--json` 输出 JSON 而不是表格。退出码：0 成功；1 失败，标准错误输出中用一行说明原因；2 命令行有误。
号码默认脱敏，加 `--unmask` 才显示完整号码。

带有 `--url` 和 `--profile` 的命令，既可用于本机，也可用于[远程网关](remote.zh-CN.md)：`answerback login` 保存其 URL 和密钥。

系统区域设置（`LC_ALL`、`LC_MESSAGES`、`LANG`）为中文时，帮助、提示和错误为中文，否则为英文。`--lang en` 和 `--lang zh` 可明确指定，写在命令行的任意位置。
以下内容不随语言改变：JSON、CSV 等供程序读取的输出（`conform` 的报告除外）；日志；与 `/v1` 一致的字段名和取值，如 `answered`；回调被拒绝的原因，
即应答给发送方的内容；数据库、端点等其他程序给出的信息。
""",
)


def configuration() -> str:
    """The whole of docs/configuration.md, or of docs/configuration.zh-CN.md."""
    sections = [
        _settings(section, model, skipped={"rules"})
        for section, field in Settings.model_fields.items()
        if isinstance(model := field.annotation, type) and issubclass(model, BaseModel)
    ]
    tables = [
        f"{_settings(name, model)}\n{_tr(tail)}"
        for name, model, tail in (
            ("channels.<name>", ChannelSettings, CHANNELS_TAIL),
            ("certificates.<name>", CertificateSettings, CERTIFICATES_TAIL),
            ("endpoints.<name>", EndpointSettings, ENDPOINTS_TAIL),
        )
    ]
    return "\n".join([_tr(CONFIGURATION_HEAD), *sections, *_rules(), *tables])


def _settings(section: str, model: type[BaseModel], skipped: Collection[str] = ()) -> str:
    """A section: what it is about, and a line for each of its settings."""
    rows = [_setting(f"{section}.{name}", field) for name, field in model.model_fields.items() if name not in skipped]
    return f"## `[{section}]`\n\n{tr_setting(model.__doc__ or '')}\n\n{_table(_columns(SETTING_COLUMNS), rows)}"


def _rules() -> Iterator[str]:
    """The section of alert rules: what all of them have, then what each kind has of its own."""
    shared = [_setting(f"alerts.rules.<name>.{name}", setting) for name, setting in BaseRule.model_fields.items()]
    yield f"## `[alerts.rules.<name>]`\n\n{_tr(RULES_HEAD)}\n{_table(_columns(SETTING_COLUMNS), shared)}"
    for rule in RULES:
        own = {name: setting for name, setting in rule.model_fields.items() if name not in BaseRule.model_fields}
        metric = own.pop("metric").default
        rows = [_setting(f"alerts.rules.<name>.{name}", setting) for name, setting in own.items()]
        yield f'### `metric = "{metric}"`\n\n{tr_setting(rule.__doc__ or "")}\n\n{_table(_columns(SETTING_COLUMNS), rows)}'


SETTING_COLUMNS = Text("setting|default|what it is|variable", "设置|默认值|含义|环境变量")
REQUIRED = Text("required", "必填")
SEPARATOR = Text("; ", "；")
COMMA = Text(", ", "、")
CHOICES = Text("one of {}", "取值：{}")


def _setting(name: str, setting: FieldInfo) -> tuple[str, ...]:
    variable = f"{PREFIX}{name.upper().replace('.', '__')}"
    value = format_value(setting.default)
    default = _tr(REQUIRED) if setting.is_required() else f"`{value}`" if value else "-"
    choices = (_tr(CHOICES).format(found) for found in _choices(setting))
    meaning = _tr(SEPARATOR).join(filter(None, [tr_setting(setting.description or ""), *choices]))
    mark = " ↻" if _is_reloadable(name, setting) else ""
    return (f"`{name}`{mark}", default, meaning, f"`{variable}`")


def _is_reloadable(name: str, setting: FieldInfo) -> bool:
    section = Settings.model_fields.get(name.partition(".")[0])
    return RELOADABLE in (setting.json_schema_extra, None if section is None else section.json_schema_extra)


def _choices(setting: FieldInfo) -> Iterator[str]:
    if get_origin(setting.annotation) is Literal:
        yield _enumerate(get_args(setting.annotation))
    for kind in (setting.annotation, *get_args(setting.annotation)):
        if found := _members(kind):
            yield found


def _members(kind: Any) -> str:
    """The values of an enumeration; nothing for another type."""
    return _enumerate(choice.value for choice in kind) if isinstance(kind, type) and issubclass(kind, Enum) else ""


def _enumerate(words: Iterable[str]) -> str:
    return _tr(COMMA).join(f"`{word}`" for word in words)


def command_line() -> str:
    """The whole of docs/cli.md, or of docs/cli.zh-CN.md."""
    group = typer.main.get_command(app)
    context = group.context_class(group, info_name="answerback")
    commands = list(_commands(group, "answerback", context))
    overview = _table(_columns(COMMAND_COLUMNS), [_summary(path, command) for path, command in commands])
    sections = [part for path, command in commands for part in _section(path, command)]
    return "\n".join([_tr(CLI_HEAD), overview, *sections])


COMMAND_COLUMNS = Text("command|what it does", "命令|作用")
PARAMETER_COLUMNS = Text("|what it is", "|含义")
ONE_OF = Text("One of {}.", "取值：{}。")
AS = Text("As {}.", "格式如 {}。")
DEFAULT = Text("Default `{}`.", "默认 `{}`。")
BLANK = Text(" ", "")


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


def _section(path: str, command: Any) -> Iterator[str]:
    arguments = [_argument(parameter) for parameter in command.params if _is_argument(parameter)]
    yield f"## {path}\n\n{command.help}\n\n```\n{' '.join([path, '[OPTIONS]', *arguments])}\n```\n"
    rows = [(f"`{_spelled(parameter)}`", _meaning(parameter)) for parameter in command.params]
    yield _table(_columns(PARAMETER_COLUMNS), rows)


def _is_argument(parameter: Any) -> bool:
    return not parameter.opts[0].startswith("-")


def _argument(parameter: Any) -> str:
    word = parameter.name.upper() + ("..." if parameter.nargs == -1 else "")
    return word if parameter.required else f"[{word}]"


def _spelled(parameter: Any) -> str:
    if _is_argument(parameter):
        return _argument(parameter)
    option = parameter.opts[0]
    return option if parameter.is_flag else f"{option} {option.removeprefix('--').replace('-', '_').upper()}"


def _meaning(parameter: Any) -> str:
    words = [parameter.help or ""]
    if found := _members(parameter.type_descriptor.annotation):
        words.append(_tr(ONE_OF).format(found))
    formats = parameter.type_descriptor.parameter_info.formats
    if formats:
        words.append(_tr(AS).format(_enumerate(map(_EXAMPLE.strftime, formats))))
    default = getattr(parameter.default, "value", parameter.default)
    if not isinstance(default, bool | NoneType) and not callable(default):
        words.append(_tr(DEFAULT).format(default))
    return _tr(BLANK).join(words)


def _tr(text: Text) -> str:
    return text.translate(current_language())


def _columns(names: Text) -> Sequence[str]:
    return _tr(names).split("|")


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |\n" for line in lines)


NUMBERS_HEAD = Text(
    """\
# Emulator numbers

English | [中文](emulator-numbers.zh-CN.md)

<!-- Made by `make docs` from src/answerback/emulator/outcomes.py. -->

The last three digits of the number decide how a call proceeds. `answerback emulate --numbers` shows the same table. [The emulator](emulator.md)
""",
    """\
# 模拟器的号码

[English](emulator-numbers.md) | 中文

<!-- 由 `make docs` 根据 src/answerback/emulator/outcomes.py 生成。 -->

号码的最后三位决定通话如何进行。`answerback emulate --numbers` 显示同一张表。[模拟器](emulator.zh-CN.md)
""",
)
NUMBER_COLUMNS = Text("number|what happens", "号码|会发生什么")


def numbers() -> str:
    """The whole of docs/emulator-numbers.md, or of docs/emulator-numbers.zh-CN.md."""
    rows = [(f"…{row.ending}", _tr(Text(row.en, row.zh))) for row in SCRIPT_ROWS]
    return f"{_tr(NUMBERS_HEAD)}\n{_table(_columns(NUMBER_COLUMNS), rows)}"


def documents() -> Iterator[tuple[str, str]]:
    """The name of each document, and all of it."""
    for language, suffix in ((Language.EN, "md"), (Language.ZH, "zh-CN.md")):
        set_language(language)
        yield f"configuration.{suffix}", configuration()
        yield f"cli.{suffix}", command_line()
        yield f"emulator-numbers.{suffix}", numbers()


def main() -> int:
    """Write all, or with --check compare; the exit status."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--check", action="store_true", help="write nothing, exit 1 if a document is stale")
    only_check = arguments.parse_args().check
    stale = []
    for name, text in documents():
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
