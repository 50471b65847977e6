"""Failure mail to a server that asks for STARTTLS and a login, and that is believed only with the right certificate."""

import os
import tempfile
import unittest

from cluster import Cluster
from mail_receiver import make_certificate
from processes import tail

LOGIN = ("cloudtask", "secret of the mail server")


class MailLogin(unittest.TestCase):
    def failing_run(self, folder, certificate, trusted):
        """A cluster whose center talks to a mail server with `certificate` and trusts `trusted`, after one run has failed."""
        cluster = Cluster(folder, center_options=[
            "--mail.starttls=require", f"--mail.ca-file={trusted[0]}", f"--mail.username={LOGIN[0]}", f"--mail.password={LOGIN[1]}"])
        self.addCleanup(cluster.close)
        cluster.__enter__()
        cluster.start_zookeeper()
        cluster.start_mail(certificate=certificate, login=LOGIN)
        cluster.start_center()
        cluster.log_in()
        cluster.make_runtime()
        cluster.start_node("node-1")
        cluster.wait_until_allocated(["node-1"])
        run = cluster.run_now(cluster.make_task("doomed", shell="exit 1", notify=["owner@example.org"]))
        self.assertEqual(run["state"], "FAILED")
        return cluster

    def test_mail_goes_out_over_tls_with_the_login(self):
        with tempfile.TemporaryDirectory(prefix="cloudtask-test-") as folder:
            certificate = make_certificate(os.path.join(folder, "tls"))
            cluster = self.failing_run(folder, certificate, certificate)
            mail = cluster.wait_for(cluster.mail.mails, 30, "the mail")[0]
            self.assertEqual(mail["X-Received-With"], "TLS, login")
            self.assertEqual(mail.get_all("X-Envelope-To"), ["owner@example.org"])
            cluster.close()

    def test_login_is_not_given_to_a_server_that_is_not_trusted(self):
        with tempfile.TemporaryDirectory(prefix="cloudtask-test-") as folder:
            other = make_certificate(os.path.join(folder, "other"))
            cluster = self.failing_run(folder, make_certificate(os.path.join(folder, "tls")), other)
            cluster.wait_for(lambda: "certificate" in tail(cluster.center.log_path, 200).lower(), 30, "the center to say what is wrong")
            self.assertEqual(cluster.mail.mails(), [])
            cluster.close()
