"""Decoding, packing and the evaluation view, with images that are damaged, rotated, huge or no images."""

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from vgspeech.archive import BlobReader
from vgspeech.datadir import ImageSet, read_table, write_image_set
from vgspeech.errors import ConfigError, DataError
from vgspeech.images import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    PackedImages,
    decode,
    evaluation_view,
    merge_packed,
    pack_images,
    shrink_and_encode,
    to_tensor,
)
from vgspeech.validation import validate_image_set

ROOT = Path(__file__).parents[2]


def photo(width: int, height: int, seed: int = 0) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png_that_claims(width: int, height: int) -> bytes:
    """A few bytes that announce an enormous image."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_colour_modes() -> None:
    image = photo(40, 30)
    expected = np.asarray(image)
    for kind in ("PNG", "BMP", "TIFF", "PPM"):
        np.testing.assert_array_equal(decode(encoded(image, kind)), expected)
    assert decode(encoded(image, "PNG")).flags.writeable
    grey = image.convert("L")
    np.testing.assert_array_equal(decode(encoded(grey, "PNG")), np.asarray(grey.convert("RGB")))
    np.testing.assert_array_equal(
        decode(encoded(grey.convert("1"), "PNG")), np.asarray(grey.convert("1").convert("RGB"))
    )
    palette = image.quantize(16)
    np.testing.assert_array_equal(decode(encoded(palette, "PNG")), np.asarray(palette.convert("RGB")))
    cmyk = decode(encoded(image.convert("CMYK"), "JPEG", quality=100))
    assert np.abs(cmyk.astype(int) - expected).mean() < 3
    deep = np.asarray(grey, dtype=np.uint16) * 257
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(deep), "PNG"))[..., 0], np.asarray(grey))


def test_transparency_lies_on_white() -> None:
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    np.testing.assert_array_equal(decode(encoded(image, "PNG")), [[[255, 0, 0], [255, 255, 255]]])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_rotation_by_exif(orientation: int) -> None:
    """Pixels come as the camera's user saw them; the packed file says no more of rotation."""
    image = photo(48, 32)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(image, "JPEG", quality=100, exif=exif)
    pixels = decode(data)
    assert pixels.shape == ((32, 48, 3) if orientation < 5 else (48, 32, 3))
    packed = shrink_and_encode(data)
    assert (packed == data) is (orientation == 1)
    assert Image.open(io.BytesIO(packed)).getexif().get(0x0112, 1) == 1
    assert np.abs(decode(packed).astype(int) - pixels).mean() < 5


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"not an image\n" * 100, "is a text file"),
        (bytes(range(128, 256)) * 9, "is no image"),
        (encoded(photo(100, 100), "JPEG")[:-900], "is a damaged or incomplete JPEG"),
        (encoded(photo(100, 100), "PNG")[:-900], "is a damaged or incomplete PNG"),
        (png_that_claims(10001, 10000), "claims 10001 x 10000 pixels, more than 100 million"),
        (png_that_claims(10**9, 10**9), "claims more than 100 million pixels"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is a text file"),
    ],
)
def test_bad_images(data: bytes, message: str) -> None:
    for function in (decode, lambda data, where: shrink_and_encode(data, 256, where)):
        with pytest.raises(DataError, match=message) as caught:
            function(data, "x.jpg")
        assert caught.value.where == "x.jpg"


def test_small_plain_files_are_kept_byte_for_byte() -> None:
    for image in (photo(300, 256), photo(30, 20).convert("L"), photo(256, 700)):
        for kind in ("JPEG", "PNG"):
            data = encoded(image, kind)
            assert shrink_and_encode(data) == data
    data = encoded(photo(40, 40).quantize(8), "PNG")
    assert shrink_and_encode(data) == data


@pytest.mark.parametrize(
    ("width", "height", "expected"), [(1024, 768, (341, 256)), (300, 900, (256, 768)), (257, 257, (256,) * 2)]
)
def test_large_images_are_shrunk(width: int, height: int, expected: tuple[int, int]) -> None:
    image = photo(width, height)
    for kind in ("JPEG", "PNG"):
        packed = Image.open(io.BytesIO(shrink_and_encode(encoded(image, kind, quality=95))))
        assert packed.size == expected and packed.format == "JPEG"
        wanted = np.asarray(transforms.Resize(256)(image)).astype(int)
        assert np.abs(np.asarray(packed) - wanted).mean() < 2
    drawing = image.quantize(4)
    assert Image.open(io.BytesIO(shrink_and_encode(encoded(drawing, "PNG")))).format == "PNG"


@pytest.mark.parametrize(("width", "height"), [(320, 240), (200, 333), (256, 256), (257, 400), (64, 64)])
def test_evaluation_view_is_torchvisions(width: int, height: int) -> None:
    image = photo(width, height)
    wanted = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])(image)
    view = evaluation_view(np.asarray(image), 256, 224)
    np.testing.assert_array_equal(view, np.asarray(wanted))
    normalised = transforms.Compose([transforms.ToTensor(), transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)])(wanted)
    torch.testing.assert_close(to_tensor(torch.from_numpy(view)), normalised, atol=1e-5, rtol=1e-5)
    batch = to_tensor(torch.from_numpy(np.stack([view, view])))
    assert batch.shape == (2, 3, 224, 224) and batch.dtype == torch.float32 and batch.is_contiguous()
    torch.testing.assert_close(batch[1], normalised, atol=1e-5, rtol=1e-5)


def test_evaluation_view_of_the_wanted_size_is_untouched() -> None:
    image = np.asarray(photo(64, 64))
    np.testing.assert_array_equal(evaluation_view(image, 64, 64), image)
    with pytest.raises(ConfigError, match="must not be larger"):
        evaluation_view(image, 64, 65)


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five images; `c` is a text file and `e` is missing."""
    monkeypatch.chdir(tmp_path)
    for name, (width, height) in {"a": (400, 300), "b": (60, 40), "d": (90, 90)}.items():
        photo(width, height).save(f"{name}.jpg")
    Path("c.jpg").write_text("<html>not found</html>\n", encoding="utf-8")
    sizes = {"a": (400, 300), "b": (60, 40), "d": (90, 90)}
    write_image_set("images/dev", paths={name: f"{name}.jpg" for name in "abcde"}, sizes=sizes)
    return Path("images/dev")


def step(*sets: Path, jobs: int, max_bad: float) -> subprocess.CompletedProcess[str]:
    command = [ROOT / "steps" / "pack_images.sh", "--nj", jobs, "--max-bad", max_bad, *sets]
    python = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{python}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "pylib")}
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, env=environment)


def test_step_lists_and_counts_bad_images(images: Path) -> None:
    failed = step(images, jobs=2, max_bad=0.3)
    assert failed.returncode == 4 and "2 of 5 inputs cannot be used, more than --max-bad 0.3" in failed.stderr
    assert not (images / "packed.scp").exists()
    done = step(images, jobs=6, max_bad=0.4)
    assert "pack_images.sh: 5 jobs instead of 6" in done.stdout
    assert (
        "pack_images.sh: Packed 3 of 5 images of dev; 2 could not be used, see images/dev/packed.rejected"
        in done.stdout
    )
    rejected = read_table(images / "packed.rejected")
    assert rejected["c"].startswith("c.jpg: is a text file") and rejected["e"].startswith(
        "e.jpg: cannot be read: No such"
    )
    assert "valid image set: 5 images" in validate_image_set(images, packed=True)


def test_jobs_share_out_several_sets(images: Path) -> None:
    write_image_set("images/test", paths={"b": "b.jpg"}, sizes={"b": (60, 40)})
    done = step(images, Path("images/test"), jobs=2, max_bad=0.4)
    assert done.stdout.splitlines() == [
        "pack_images.sh: Packed 3 of 5 images of dev; 2 could not be used, see images/dev/packed.rejected",
        "pack_images.sh: Packed 1 of 1 images of test",
    ]
    assert dict(BlobReader("images/test/packed.scp")) == {"b": Path("b.jpg").read_bytes()}
    assert list(BlobReader(images / "packed.scp")) == ["a", "b", "d"] and len(list(images.glob("packed.*.ark"))) == 2
    assert step(Path("images/test"), images, jobs=2, max_bad=0.3).returncode == 4


def test_job_count_does_not_matter(images: Path) -> None:
    loaded, results = ImageSet.load(images), []
    for jobs in (2, 1):
        for job in range(1, jobs + 1):
            pack_images(loaded, job, jobs)
        assert merge_packed(loaded, jobs, 0.4).packed == 3
        results.append(dict(BlobReader(images / "packed.scp")))
        assert len(list(images.glob("packed.*.ark"))) == jobs
    assert results[0] == results[1]
    assert results[0]["b"] == Path("b.jpg").read_bytes()
    packed = PackedImages(images / "packed.scp")
    assert packed.ids == ["a", "b", "d"] and len(packed) == 3 and "c" not in packed
    assert [pixels.shape for pixels in packed["a"]] == [(256, 341, 3)] and packed.files("b") == [results[0]["b"]]


@pytest.mark.skipif("VGS_TEST_DATA" not in os.environ, reason="needs real images ($VGS_TEST_DATA)")
def test_every_real_image_is_read() -> None:
    files = [path for path in sorted(Path(os.environ["VGS_TEST_DATA"]).rglob("*")) if path.suffix in (".jpg", ".png")]
    assert files
    for path in files:
        data = path.read_bytes()
        pixels = decode(data, str(path))
        assert pixels.shape[:2] == Image.open(path).size[::-1]
        np.testing.assert_array_equal(decode(shrink_and_encode(data)), pixels)  # all are small enough to be kept
        assert evaluation_view(pixels, 256, 224).shape == (224, 224, 3)
