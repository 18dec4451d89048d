"""kill -9 of each daemon at random moments of the demo's story (chaos.py): small here, larger with SLUICE_CHAOS_KILLS."""
import os
import random
import unittest

import chaos


class Kill(unittest.TestCase):
    def test_everybody_dies_and_the_story_ends_as_it_should(self):
        chaos.run(int(os.environ.get("SLUICE_CHAOS_KILLS", "12")), int(os.environ.get("SLUICE_CHAOS_SEED", random.randrange(1 << 32))))


if __name__ == "__main__":
    unittest.main()
