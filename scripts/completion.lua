-- collegedb completion: what a shell needs to complete command lines. With --words it answers such a shell.

local aside = require "collegedb.aside"
local command_completion = require "collegedb.command_completion"

-- A config that prints something is no reason for strange words.
local function answer(words, at)
  local silent <close> = assert(io.open("/dev/null", "w"))
  for _, word in ipairs(aside.call(silent, command_completion.find, words, at)) do print(word) end
  return 0
end

return {
  summary = "Write what a shell needs to complete command lines.",
  usage = "completion bash|zsh",
  group = "The program",
  examples = {
    { 'eval "$(collegedb completion bash)"', "In ~/.bashrc: Tab completes commands, options, shards and files." },
    { "collegedb completion zsh", "The same for zsh; eval it in ~/.zshrc, after compinit." },
  },
  options = function(parser)
    parser:argument("shell", "The shell: bash or zsh."):args "*"
    parser:option("--words", "Answer: the place of the word, and after -- the line."):argname "N"
      :convert(math.tointeger):hidden(true)
  end,
  run = function(ctx)
    local given = ctx.args.shell
    if ctx.args.words then return answer(given, ctx.args.words + 1) end
    local script = #given == 1 and command_completion.scripts[given[1]]
    if not script then ctx.usage_error "takes the name of a shell: bash or zsh" end
    io.write(script)
    return 0
  end,
}
