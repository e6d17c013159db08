"""mini's vocabulary, learned again."""

from ckptedit.canvas.tokenizer import END, LENGTH, START, learn


def test_learning_twice_gives_the_same_files_that_a_tokenizer_reads(tmp_path):
    first, again = tmp_path / "first", tmp_path / "again"
    learn(first)
    learn(again)
    names = sorted(path.name for path in first.iterdir())
    assert {"vocab.json", "merges.txt", "tokenizer.json"} <= set(names)
    assert all((first / name).read_bytes() == (again / name).read_bytes() for name in names)

    from transformers import CLIPTokenizer

    made = CLIPTokenizer.from_pretrained(first)
    assert made.model_max_length == LENGTH
    assert made.tokenize("a cat in Van Gogh style") == [
        f"{word}</w>" for word in ("a", "cat", "in", "van", "gogh", "style")
    ]
    assert len(made.tokenize("xylophones")) > 1  # unknown words fall into pieces
    ids = made("").input_ids
    assert made.convert_ids_to_tokens(ids[:2]) == [START, END]
