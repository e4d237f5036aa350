# Completes mlplab in fish: put  mlplab completion fish | source  into ~/.config/fish/config.fish.
function __mlplab_candidates
    set -l words (commandline -po)
    $words[1] completion candidates (commandline -cp | string collect) 2>/dev/null
end
complete -c mlplab -f -a '(__mlplab_candidates)'
