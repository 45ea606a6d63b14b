"""What commands print."""

from collections.abc import Mapping

TEXTS: Mapping[str, str] = {
    '{name} needs {library}: pip install "answerback[{extra}]"': '{name} 需要 {library}：pip install "answerback[{extra}]"',
    'the command line needs {library}: pip install "answerback[server]", or "answerback[emulator]" for {commands} alone': (
        '命令行需要 {library}：pip install "answerback[server]"；只用 {commands} 时，pip install "answerback[emulator]" 即可'
    ),
}
