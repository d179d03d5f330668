# shellcheck shell=bash disable=SC2034  # read by utils/recipe.sh
# How jobs are run; the one place to change it. local: on this machine. slurm: on a cluster, as conf/slurm.conf says.

cmd_backend=local

# A runner is called the Kaldi way:
#
#     <runner> [options] JOB=1:N <log with JOB in it> <command with JOB in it>
#
# Options may follow its name: train_cmd="run.pl --max-jobs-run 4" on a machine with little memory. A site's own queue.pl
# works too: train_cmd="/opt/kaldi/utils/queue.pl --mem 4G". For a single run there is run.sh --cmd "run.pl --max-jobs-run
# 2", which replaces both. Steps add --gpu, --num-nodes and --num-threads where they need them.
#
# train_cmd runs features, images, embedding and lexicon; cuda_cmd runs training.

export VGS_SLURM_CONF=${VGS_SLURM_CONF:-$conf/slurm.conf}
case $cmd_backend in
  local)
    train_cmd="run.pl"
    cuda_cmd="run.pl"
    ;;
  slurm)
    train_cmd="slurm.pl --mem 4G --num-tries 3"
    cuda_cmd="slurm.pl --mem 32G --num-threads 8 --num-tries 50" # a training may need many time limits
    ;;
  *) usage_error "cmd.sh: cmd_backend is local or slurm, not \"$cmd_backend\"" ;;
esac
