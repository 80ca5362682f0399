"""make figures: measures the tables of README and docs again, and compares them with the pages.

A comment just above a Markdown table says how it is measured:

    <!-- figures: views; command: make figures FIGURES=views; processor: AMD EPYC avx512_bf16 -->

figures: a name in `tables.TABLES`; README and docs may both have a table of a name, with any of its
rows and columns. processor: `environment.processor()` of the machine that measured it; its words
that begin with avx or amx are the instruction set. Rows are known by their first cells, columns by
their header; numbers may have any number of decimals. On the same instruction set they must be
equal to the printed digit; on another one accuracy and log loss must be within 0.2 standard errors.
Times ("38 s", "23 min") are rewritten where the instruction set is the same.
"""
