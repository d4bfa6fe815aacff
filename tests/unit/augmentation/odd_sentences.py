"""Sentences that break careless code, and a strategy that makes more of them."""

from __future__ import annotations

from hypothesis import strategies as st

ODD = [
    "I have not been able to sleep for three weeks, and I'm so tired of everything.",
    "I don’t enjoy things any more; it's pointless.",
    "Hello",
    "?!",
    "",
    "   ",
    "\u00a0\u2003",
    "never",
    "😀 i feel 👨‍👩‍👧 awful today 😭",
    "أنا حزين جدا اليوم",
    "לא ישנתי כל הלילה",
    "我很难过今天",
    "我 很 难过 今天",
    "眠れない 夜が 続く",
    "x² + y³ felt ½ as bad as ⁵",
    "cut <SPLIT> here <SPLIT>",
    "9" * 400 + " times seven",
    "Straße STRASSE ﬁne İstanbul",
    "e\u0301te\u0301 a\u0300 Paris",
    "tab\tand  two spaces\nand a line",
    "*-_@ 'quoted' “curly” it’s",
    "word " * 55,
    "a" * 3000,
]

sentences = st.one_of(
    st.sampled_from(ODD),
    st.text(min_size=0, max_size=80).filter(lambda text: "\ud800" not in text),
    st.lists(
        st.sampled_from(
            ["I", "am", "not", "do", "can't", "cannot", "sad", "Tired", "it", "is", "😭", "难过", "x²", "--"]
        ),
        max_size=20,
    ).map(" ".join),
)
