"""What the differential tests share: asking judge (our answers), and saying what differs."""
import base64
import json
import subprocess
import sys


def ask(mode, texts, *arguments):
    """Our answer to each text: parsed JSON, or the string `error SLU... ...` as an Exception."""
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    done = subprocess.run([sys.argv[1], mode, *arguments], input=lines, capture_output=True, text=True, check=True)
    answers = done.stdout.split("\n")[:-1]
    assert len(answers) == len(texts), f"{len(answers)} answers to {len(texts)} questions: {done.stderr}"
    return answers


def refused(answer):
    return answer.startswith("error ")


def encoded(data):
    return base64.b64encode(data).decode()


class Report:
    """Collects differences; at the end prints them and gives the exit code."""

    def __init__(self):
        self.checked, self.stricter, self.wrong = 0, {}, []

    def same(self, what, ours, theirs):
        self.checked += 1
        if ours != theirs:
            self.wrong.append(f"{what}\n   ours:   {ours}\n   theirs: {theirs}")

    def stricter_by(self, what, answer, allowed):
        """We refuse what they accept: fine if the reason is one of @allowed (words of the message)."""
        self.checked += 1
        for reason in allowed:
            if reason in answer:
                self.stricter[reason] = self.stricter.get(reason, 0) + 1
                return
        self.wrong.append(f"{what}\n   refused without a listed reason: {answer}")

    def end(self, at_least):
        for line in self.wrong[:20]:
            print(line)
        print(f"{self.checked} compared, {len(self.wrong)} differ; stricter on purpose: {self.stricter}")
        assert self.checked >= at_least, "too little was compared"
        return 1 if self.wrong else 0
