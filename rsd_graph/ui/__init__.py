"""A local page that runs problems, and shows how: for those without LangGraph Studio.

`rsd ui` opens it over the models of rsd.toml. It needs the extra `ui`.
"""
