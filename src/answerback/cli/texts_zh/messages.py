"""What commands print."""

from collections.abc import Mapping

TEXTS: Mapping[str, str] = {
    "signs in with the key {key}, once, within ten minutes": "使用密钥 {key} 登录，十分钟内有效，仅可使用一次",
    "no browser was found: open the link by hand": "未找到浏览器，请手动打开链接",
    '{name} needs {library}: pip install "answerback[{extra}]"': '{name} 需要 {library}：pip install "answerback[{extra}]"',
    'the command line needs {library}: pip install "answerback[server]", or "answerback[emulator]" for {commands} alone': (
        '命令行需要 {library}：pip install "answerback[server]"；只用 {commands} 时，pip install "answerback[emulator]" 即可'
    ),
}
