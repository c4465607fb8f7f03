"""The Open Inference Protocol, version 2, over HTTP.

request      a question as a body
answer       what counts as an answer, and what as none
call         the calls of one model: paths and heads
line         kept-alive connections to one server
connection   one of them
"""
