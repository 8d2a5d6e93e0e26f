"""The static page: what is loaded, whether it ties and what it says, in one HTML file; and the record of a month.

In: a pipeline's dataset. Out: texts. Nothing is fetched by the page, nothing in it runs, and it says nothing of the
present: the same data gives the same bytes.
"""
