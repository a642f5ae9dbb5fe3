std = "lua54"
max_line_length = 120
files["spec"] = { std = "+busted" }
-- A config file or strategy script of a user may leave arguments unused, as the contract's signatures have them.
files["examples"] = { unused_args = false }
-- Declarations without bodies; an annotation ends with its line.
files["types"] = { unused = false, max_comment_line_length = false }
