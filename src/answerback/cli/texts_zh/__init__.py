"""The command line in Chinese, by the English text: loaded only when Chinese is asked for."""
