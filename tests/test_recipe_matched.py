"""Methods at equal deletion, as `recipes/matched.py` prints them, on rows worked by hand."""

import json

from recipes.matched import main

# UA, RA-I, RA-I unseen, RA-C of each setting of a method's dial
RUNS = {
    "uce": [(0.5, 1.0, 0.9, 1.0), (0.9, 0.6, 0.5, 0.8)],
    "balanced": [(0.7, 0.95, None, 0.99), (0.7, 0.85, None, 0.97)],  # one UA: their mean
}
FIGURES = ("ua", "ra_i", "ra_i_unseen", "ra_c")


def test_all_are_read_at_the_highest_ua_that_each_reaches(tmp_path, capsys):
    files = []
    for method, rows in RUNS.items():
        reports = [{"method": method, **dict(zip(FIGURES, row, strict=True))} for row in rows]
        files.append(tmp_path / f"{method}.jsonl")
        files[-1].write_text("".join(json.dumps(report) + "\n" for report in reports))
    main([str(file) for file in files])
    assert capsys.readouterr().out.splitlines() == [
        "at UA 70.0%:\tra_i\tra_i_unseen\tra_c",
        "uce\t80.0%\t70.0%\t90.0%",  # half way between its two
        "balanced\t90.0%\tnone\t98.0%",
    ]
