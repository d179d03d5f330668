"""The synthesiser, a process of its own: text in, samples and times out.

espeak-ng is under the GPL and keeps global state. So it is loaded here and nowhere else, by a program that imports
nothing of vgspeech and is talked to through pipes (``speech.Synthesiser`` is the other end).

    python espeak_server.py LIBRARY DATA-PARENT

Input: a JSON object a line, ``{"voice": "en-us+adam", "pitch": 50, "rate": 160, "volume": 45, "text": "..."}``.
Output for each: a line of JSON, then n little-endian 16-bit samples. The line is ``{"rate": 22050, "samples": n,
"words": [[character, sample], ...], "phones": [[sample, name], ...]}`` or ``{"error": "..."}``. Characters count
from 0. An empty phone name is a pause.
"""

import ctypes
import json
import os
import sys

AUDIO_OUTPUT_SYNCHRONOUS = 2
INITIALIZE_PHONEME_EVENTS = 0x0001
INITIALIZE_DONT_EXIT = 0x8000  # without it a failing library ends the process
EVENT_LIST_TERMINATED, EVENT_WORD, EVENT_PHONEME = 0, 1, 7
PARAMETER_RATE, PARAMETER_VOLUME, PARAMETER_PITCH = 1, 2, 3
POSITION_CHARACTER = 1
CHARS_UTF8 = 1


class EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", EventId),
    ]


Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event))


class Engine:
    """The library, with what the current utterance has given so far."""

    def __init__(self, library: str, data_parent: str) -> None:
        # The library cuts data paths at about 160 characters, so it gets a relative one.
        os.chdir(data_parent)
        self.library = ctypes.CDLL(library)
        self.rate = self.library.espeak_Initialize(
            AUDIO_OUTPUT_SYNCHRONOUS, 0, b".", INITIALIZE_PHONEME_EVENTS | INITIALIZE_DONT_EXIT
        )
        if self.rate <= 0:
            raise RuntimeError(f"espeak_Initialize failed ({self.rate}) on the data in {data_parent}")
        self.samples = bytearray()
        self.words: list[list[int]] = []
        self.phones: list[list[object]] = []
        self.callback = Callback(self._receive)  # the library keeps only a bare pointer to it
        self.library.espeak_SetSynthCallback(self.callback)

    def _receive(self, wave, count, events):  # type: ignore[no-untyped-def]
        if count > 0:
            self.samples += ctypes.string_at(wave, count * 2)
        i = 0
        while events[i].type != EVENT_LIST_TERMINATED:
            event = events[i]
            if event.type == EVENT_WORD:
                self.words.append([event.text_position - 1, event.sample])
            elif event.type == EVENT_PHONEME:
                self.phones.append([event.sample, phone_name(event.id.string)])
            i += 1
        return 0

    def speak(self, request: dict) -> dict:
        """Synthesise one request; the samples are left in ``self.samples``."""
        self.samples, self.words, self.phones = bytearray(), [], []
        # A variant that doesn't exist is taken for none at all, without an error.
        variant = request["voice"].partition("+")[2]
        if variant and not os.path.exists(os.path.join("espeak-ng-data", "voices", "!v", variant)):
            return {"error": f"no voice variant '{variant}'"}
        if self.library.espeak_SetVoiceByName(request["voice"].encode()) != 0:
            return {"error": f"no voice '{request['voice']}'"}
        for parameter, key in ((PARAMETER_RATE, "rate"), (PARAMETER_VOLUME, "volume"), (PARAMETER_PITCH, "pitch")):
            self.library.espeak_SetParameter(parameter, int(request[key]), 0)
        text = request["text"].encode()
        status = self.library.espeak_Synth(text, len(text) + 1, 0, POSITION_CHARACTER, 0, CHARS_UTF8, None, None)
        if status != 0:
            return {"error": f"espeak_Synth failed ({status})"}
        samples = len(self.samples) // 2
        return {"rate": self.rate, "samples": samples, "words": self.words, "phones": self.phones}


def phone_name(mnemonic: bytes) -> str:
    """espeak's name of a phone without its stress marks; empty for pauses and marks without sound."""
    name = mnemonic.decode("utf-8", "replace").lstrip("',%=")
    return "" if name[:1] in ("_", ";", ":", "|", "") else name


def main() -> None:
    engine = Engine(*sys.argv[1:3])
    output = sys.stdout.buffer
    for line in sys.stdin.buffer:
        answer = engine.speak(json.loads(line))
        output.write(json.dumps(answer).encode() + b"\n")
        if "error" not in answer:
            output.write(engine.samples)
        output.flush()


if __name__ == "__main__":
    main()
