"""`./dev demo --once`, as a newcomer runs it, trains on real data and ends well."""
import os
import subprocess
import unittest


class Demo(unittest.TestCase):
    def test_demo_once(self):
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        # `timeout` ends all of it, so that the demo takes its fleet away
        done = subprocess.run(["timeout", "--kill-after=20", "260", root + "/tools/demo", "--once"], env={**os.environ, "NO_COLOR": "1"},
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout[-3000:] + done.stderr[-3000:])
        self.assertIn('"predictions": [0, 1, 2]', done.stdout)
        self.assertIn("everything of the demo is stopped and removed", done.stdout)


if __name__ == "__main__":
    unittest.main()
