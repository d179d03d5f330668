# shellcheck shell=bash disable=SC2034  # read by utils/recipe.sh
# How jobs are run; the one place to change it. A runner is called the Kaldi way:
#
#     <runner> [options] JOB=1:N <log with JOB in it> <command with JOB in it>
#
# run.pl runs jobs on this machine. Options may follow its name: train_cmd="run.pl --max-jobs-run 4" on a machine with
# little memory. A site's own queue.pl works too: train_cmd="/opt/kaldi/utils/queue.pl --mem 4G". For a single run there
# is run.sh --cmd "run.pl --max-jobs-run 2", which replaces both.

train_cmd="run.pl" # features, images, embedding, lexicon
cuda_cmd="run.pl"  # training
