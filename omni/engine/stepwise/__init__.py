"""Engines that compute one token at a time and leave all else to Omni: a worker serves llama.cpp's protocol over any `StepModel`.

model     what is asked of a model             llama_cpp, mlx  the models
prompts   a chat's text, by its template       sampling        which token comes
grammars  which tokens may come                spoken          tokens as text: stops, thoughts
answering one answer, step by step             server          the protocol
"""
