# Completes mlplab in zsh: put  eval "$(mlplab completion zsh)"  into ~/.zshrc, after compinit.
_mlplab() {
    local -a found=(${(f)"$($words[1] completion candidates "$LBUFFER" 2>/dev/null)"})
    compadd -S '' -- ${(M)found:#*[=./]}
    compadd -- ${found:#*[=./]}
}
compdef _mlplab mlplab
