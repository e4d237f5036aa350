# Completes mlplab in bash: put  eval "$(mlplab completion bash)"  into ~/.bashrc.
_mlplab() {
    local IFS=$'\n' line=${COMP_LINE:0:COMP_POINT} prefix=
    local word=${line##* }
    case $COMP_WORDBREAKS in *=*) prefix=${word%"${word##*=}"} ;; esac # bash keeps what precedes the last =
    COMPREPLY=($("$1" completion candidates "$line" 2>/dev/null))
    COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
    COMPREPLY=("${COMPREPLY[@]// /\\ }")
    case $COMPREPLY in *[=./]) compopt -o nospace ;; esac
}
complete -F _mlplab mlplab
