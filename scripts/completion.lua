-- collegedb completion: what a shell needs to complete command lines. With --words it answers such a shell.

local command_completion = require "collegedb.command_completion"

-- A config that prints something is no reason for strange words.
local function in_silence(f, ...)
  local write, output = print, io.output()
  print = function() end -- luacheck: ignore
  local silent <close> = assert(io.open("/dev/null", "w"))
  io.output(silent)
  local results = table.pack(pcall(f, ...))
  io.output(output)
  print = write -- luacheck: ignore
  return table.unpack(results, 1, results.n)
end

local function answer(words, at)
  local done, found = in_silence(command_completion.find, words, at)
  if not done then error(found, 0) end
  for _, word in ipairs(found) do print(word) end
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
