"""From a user's text to blocks of tokens: sources, tokenizers, the prepared cache, the order."""

from lmcompare.data.corpus import DataConfig, open_corpus
from lmcompare.data.encoding import encode_documents
from lmcompare.data.order import shuffled, training_text
from lmcompare.data.prepared import Prepared, TextUnavailableError, find_prepared, prepare
from lmcompare.data.split import Split
from lmcompare.data.streams import is_stream
from lmcompare.data.tokenizer import Encoded, Tokenizer
from lmcompare.data.tokenizer_training import TokenizerConfig

__all__ = [
    "DataConfig",
    "Encoded",
    "Prepared",
    "Split",
    "TextUnavailableError",
    "Tokenizer",
    "TokenizerConfig",
    "encode_documents",
    "find_prepared",
    "is_stream",
    "open_corpus",
    "prepare",
    "shuffled",
    "training_text",
]
