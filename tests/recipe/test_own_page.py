"""docs/own-recordings.md: every command and option on the page is run as it stands there, with settings that make it short."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
import torch
import torchvision
from praatio import textgrid

from recipe_runner import ROOT
from vgspeech.datadir import ImageSet, SpeechSet
from vgspeech.pretrained import HEADER

ONLY_IN_FULL = pytest.mark.skipif(os.environ.get("VGS_FULL") != "1", reason="runs with tests/run.sh --full only")
PAGE = ROOT / "docs/own-recordings.md"
SHORT = "--set training.epochs=2 --set training.precision=float32 --nj 2"
LANGUAGES = {"en": "bam", "hi": "fra"}
RUN = 'egs/own/run.sh --manifest recordings/manifest.tsv --langs "bam fra" --dir work'


def commands_of(page: str) -> list[str]:
    """Command lines, commands with arguments in running text, and options with their values."""
    lines = re.findall(r"^    ((?:egs|utils|steps|local)/\S+\.sh .*|cd .*)$", page, re.MULTILINE)
    inline = (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", page))
    return [*lines, *(span for span in inline if re.match(r"--[a-z]|ffmpeg |\.venv/|(egs|utils|steps|local)/\S+\.sh .", span))]


class Project:
    """A folder that looks like a clone, in which somebody types the page's commands; remembers which."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.typed: set[str] = set()
        for name in ("conf", "docs", "egs", "local", "path.sh", "pylib", "pyproject.toml", "steps", "utils"):
            if (ROOT / name).exists():
                (folder / name).symlink_to(ROOT / name)
        (folder / ".venv/bin").mkdir(parents=True)
        python = folder / ".venv/bin/python"
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        python.chmod(0o755)

    def type(self, command: str, more: str = "", status: int = 0) -> str:
        """Type a command of the page, with further words behind it; all that it printed."""
        self.typed.add(command)
        environment = {**os.environ, "VGS_PYTHON": sys.executable, "OMP_NUM_THREADS": "1", "PIP_NO_INDEX": "1"}
        environment["VGS_WEIGHTS"] = str(self.folder / "weights")
        done = subprocess.run(
            ["bash", "-c", f"{command} {more}"],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == status, f"{command} {more}\nexit {done.returncode}, not {status}:\n{done.stdout[-5000:]}"
        return done.stdout

    def run(self, *options: str, more: str = "", status: int = 0) -> str:
        """Type the page's run.sh, with options that the page has too (the last word of a kind counts), and others."""
        self.typed.update(options)
        return self.type(RUN, f"{SHORT} {' '.join(options)} {more}", status)


@pytest.fixture
def project(bilingual: Path, tmp_path: Path) -> Project:
    """The tiny corpus as the page says to lay recordings out: as a tree, as a table of the same files, and as one long recording
    with a tier and with Kaldi's segments.
    """
    made = Project(tmp_path)
    lines, spans, samples, at_s = ["image\twav\tlang\tspeaker"], [], [], 0.0
    tables: dict[str, list[str]] = {name: [] for name in ("segments", "utt2spk", "utt2lang", "utt2image")}
    for name, tag in LANGUAGES.items():
        speech, images = (part.load(bilingual / f"data/mini/{of}/train{end}") for part, of, end in
                          ((SpeechSet, "speech", f"_{name}"), (ImageSet, "images", "")))  # fmt: skip
        for number, utt in enumerate(sorted(speech.ids, key=lambda utt: speech.utt2image[utt])[:30]):
            folder = Path(f"recordings/market{number:02}")
            picture, wav = folder / f"market{number:02}.png", folder / tag / "awa.wav"
            (tmp_path / wav).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(bilingual / images.paths[speech.utt2image[utt]], tmp_path / picture)
            shutil.copy(bilingual / speech.audio_location(utt)[0], tmp_path / wav)
            lines.append("\t".join((str(picture.relative_to("recordings")), str(wav.relative_to("recordings")), tag, "awa")))
            if tag == "bam":
                sound, rate = soundfile.read(tmp_path / wav)
                samples.append(sound)
                spans.append((at_s, at_s + len(sound) / rate, picture.stem))
                values = (f"001 {spans[-1][0]} {spans[-1][1]}", "awa", tag, picture.stem)
                for table, value in zip(tables, values, strict=True):
                    tables[table].append(f"awa-{number:03} {value}")
                at_s = spans[-1][1]
    (tmp_path / "recordings/manifest.tsv").write_text("\n".join(lines) + "\n")
    for folder in ("awa", "kaldi/bam"):
        (tmp_path / folder).mkdir(parents=True)
    soundfile.write(tmp_path / "awa/001.wav", [sample for sound in samples for sample in sound], rate, "PCM_16")
    grid = textgrid.Textgrid()
    grid.addTier(textgrid.IntervalTier("picture", spans, 0, at_s))
    grid.save(str(tmp_path / "awa/001.TextGrid"), format="long_textgrid", includeBlankSpaces=True)
    (tmp_path / "awa/long.tsv").write_text("wav\tlang\tspeaker\n001.wav\tbam\tawa\n")
    tables["wav.scp"] = [f"001 {tmp_path}/awa/001.wav"]
    for table, content in tables.items():
        (tmp_path / "kaldi/bam" / table).write_text("\n".join(content) + "\n")
    shutil.copy(tmp_path / "recordings/market03/market03.png", tmp_path / "market.jpg")
    soundfile.write(tmp_path / "word.wav", samples[0][: rate // 2], rate, "PCM_16")
    return made


@ONLY_IN_FULL
def test_every_command_of_the_page_runs(project: Project) -> None:
    folder = project.folder
    project.type("local/manifest_data_prep.sh --help")
    project.type(".venv/bin/python -m pip install av")
    write_m4a(folder / "a.m4a", folder / "word.wav")
    project.type("ffmpeg -i a.m4a a.wav")
    assert soundfile.info(folder / "a.wav").duration == pytest.approx(0.5, abs=0.1)

    # Other ways to lay recordings out, and other wishes for them: stage 0, each in a folder of its own.
    def data(*options: str, work: str, more: str = "") -> str:
        return project.run(*options, more=f"{more} --stop-stage 0 --dir {work}")

    assert "60 utterances, 0 rejected" in data("--tree recordings", work="tree", more="--manifest=")
    told = data("--tier picture", work="tier", more="--manifest awa/long.tsv --images recordings --langs bam")
    assert "30 utterances, 0 rejected" in told
    told = data("--kaldi kaldi/bam", work="cut", more="--manifest= --audio awa --images recordings --langs bam")
    assert "30 utterances, 0 rejected" in told
    project.typed |= {"--audio", "--images"}
    (folder / "recordings/market03/bam/awa.wav").rename(folder / "gone.wav")
    assert "1 rejected" in data("--max-bad 0.05", work="bad")
    (folder / "gone.wav").rename(folder / "recordings/market03/bam/awa.wav")
    data("--hash-speakers true", work="hashed")
    assert not any("awa" in utt for utt in SpeechSet.load(folder / "hashed/data/own/speech/train_bam").ids)

    # From the table to the page, and what can be done then.
    assert "stage 10 report: done" in project.run()
    assert (folder / "work/exp/small_own/report/index.html").is_file()
    project.type("utils/inspect_data.sh work/data/own")
    assert (folder / "work/data/own/inspect/index.html").is_file()
    project.type("cd work; ../steps/export_words.sh exp/small_own/lexicon/own/bam-fra data/own train words; cd ..")
    assert (folder / "work/words").is_dir()
    project.type("utils/search.sh --show market.jpg --out found work/exp/small_own")
    shown = (folder / "found/results.tsv").read_text()
    project.type("utils/search.sh --speak word.wav --spoken bam --out found work/exp/small_own")
    assert (folder / "found/index.html").is_file() and (folder / "found/results.tsv").read_text() != shown
    assert "small_own" in project.type("utils/show_results.sh work/exp")
    assert "stage 10 report: done" in project.run("--no-audio", more="--stage report")
    assert "data:audio" not in (folder / "work/exp/small_own/report/index.html").read_text()

    # A model to begin with.
    (folder / "exp").mkdir()
    (folder / "exp/other").symlink_to(folder / "work/exp/small_own")
    kept = "--set training.freeze_image_epochs=-1 --set training.cache_grids=true --set augment.image_shift=0"
    project.run("--init-from exp/other", "--init-audio fra", kept, more="--tag warm --stop-stage 4")
    assert "started from" in (folder / "work/exp/small_own_warm/train.log").read_text()
    told = project.run("--train-config egs/own/conf/wav2vec2.yaml", status=2)
    assert "fetch it once: " in told and "wav2vec2_fairseq_base_ls960.pth" in told
    told = project.run("--train-config egs/own/conf/pretrained.yaml", status=2)
    assert "local/fetch_weights.sh resnet18-imagenet" in told
    fetch_without_network(project)
    project.run("--train-config egs/own/conf/pretrained.yaml", more="--stop-stage 0")

    # Somebody withdraws.
    head, *rows = (folder / "recordings/manifest.tsv").read_text().splitlines()
    lines = [f"{head}\tshare", f"{rows[0]}\tno", *(f"{row}\t" for row in rows[1:])]
    (folder / "recordings/manifest.tsv").write_text("\n".join(lines) + "\n")
    assert "recordings/manifest.tsv: content changed" in project.run(more="--stop-stage 0", status=3)
    project.run("--on-drift rerun", more="--stop-stage 0")
    assert sum(len(SpeechSet.load(one).private) for one in (folder / "work/data/own/speech").iterdir()) == 1

    wanted = commands_of(PAGE.read_text(encoding="utf-8"))
    assert len(wanted) > 20 and set(wanted) == project.typed


def fetch_without_network(project: Project) -> None:
    """The page's command for weights, which come from a file here, by a table that says so."""
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), project.folder / "r.pth")
    line = ("resnet18-imagenet", "backbone", "direct", "r.pth", "-", "-", "http://127.0.0.1:9/", "x", "x")
    (project.folder / "table.tsv").write_text("\t".join(HEADER) + "\n" + "\t".join(line) + "\n")
    command = "local/fetch_weights.sh resnet18-imagenet"
    script, name = command.split()
    project.type(f"{script} --table table.tsv --from r.pth {name}")
    project.typed.remove(f"{script} --table table.tsv --from r.pth {name}")
    project.typed.add(command)


def write_m4a(path: Path, wav: Path) -> None:
    """A recording as telephones write it."""
    import av

    with av.open(str(wav)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=16000)
        for frame in source.decode(audio=0):
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
