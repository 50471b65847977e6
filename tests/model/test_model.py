"""The hand-over protocol's model: every configuration holds, and every mutation of a rule is caught by the property that it breaks."""

import unittest

import checker


class Model(unittest.TestCase):
    def test_tools_are_there(self):
        self.assertEqual(checker.missing_tools(), [], "scripts/bootstrap installs them")

    def test_every_configuration_holds_in_every_state(self):
        for configuration in checker.CONFIGURATIONS:
            with self.subTest(configuration.name):
                outcome = checker.check(configuration.defines, seconds=300)
                self.assertEqual(outcome.verdict, "holds", "\n".join(outcome.trail))
                self.assertGreater(outcome.states, 1000, "the model did next to nothing")

    def test_every_mutation_is_caught(self):
        for mutation in checker.MUTATIONS:
            with self.subTest(mutation.name):
                outcome = checker.check_mutation(mutation, seconds=300)
                self.assertEqual(outcome.verdict, mutation.falls, mutation.rule)
                self.assertGreater(len(outcome.trail), 5, "a violation comes with what led to it")


if __name__ == "__main__":
    unittest.main()
