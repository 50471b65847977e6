// The keys of cloudtask-center.
#include "center/config.h"

namespace cloudtask::center {

ConfigSpec make_config_spec(Options& options) {
    using std::chrono::hours;
    using std::chrono::minutes;
    using std::chrono::seconds;
    constexpr std::uint64_t kMiB = 1ULL << 20;
    ConfigSpec spec("cloudtask-center",
                    "The center of CloudTask: keeps definitions and history, serves the API and the site, mails failures.");
    spec.text("data-dir", &options.data_dir, "Folder of the database, packages and logs; one center at a time may use it");
    spec.text("http.address", &options.http_address, "Address to listen on");
    spec.integer("http.port", &options.http_port, 0, 65535,
                 "Port to listen on; 0 takes a free one (see the file `address` in the data folder)");
    spec.text("webroot", &options.webroot, "Folder of the site's files; empty: no site");
    spec.text("site-url", &options.site_url,
              "Address of the site as people reach it, for links in mail; empty: the address that it listens on");
    spec.text("log.level", &options.log_level, "debug, info, warn or error");
    spec.duration("stop-grace", &options.stop_grace, seconds{0}, minutes{5},
                  "How long requests in progress may go on when the center is stopped");
    spec.duration("login.lifetime", &options.login_lifetime, minutes{1}, hours{24 * 366}, "How long a login lasts");
    spec.size("packages.max-size", &options.packages_max_size, 1, 64ULL << 30, "Largest package that is accepted");
    spec.text("secrets.key-file", &options.secrets_key_file,
              "File of the keys by which secrets are encrypted, made at the first start, never in the data folder; empty: the data "
              "folder's name and `-secrets.key`");
    spec.secret("metrics.token", &options.metrics_token, "A bearer token for /metrics, for a scraper; empty: a user's token is needed");
    spec.text("zookeeper.servers", &options.zookeeper_servers, "ZooKeeper's servers, `host:port,host:port`");
    spec.text("zookeeper.chroot", &options.zookeeper_chroot, "Where in ZooKeeper everything is kept");
    spec.duration("zookeeper.session-timeout", &options.zookeeper_session_timeout, seconds{1}, minutes{2},
                  "Time-out of the session; nodes are told the same");
    spec.text("mail.smtp-url", &options.mail_smtp_url, "`smtp://host:25` or `smtps://host:465`; empty: no mail is sent");
    spec.text("mail.username", &options.mail_username, "User at the mail server; empty: none");
    spec.secret("mail.password", &options.mail_password, "Password at the mail server");
    spec.text("mail.starttls", &options.mail_starttls,
              "Whether an smtp:// connection turns to TLS: off, try (where the server offers it) or require");
    spec.text("mail.ca-file", &options.mail_ca_file, "Certificates to trust for the mail server, PEM; empty: the system's");
    spec.text("mail.from", &options.mail_from, "Sender of mail");
    spec.list("mail.to", &options.mail_to, "Who is told of failures where neither task, group nor runtime names anybody");
    spec.duration("lost.grace", &options.lost_grace, seconds{0}, hours{24}, "How long a node may be gone before its runs are LOST");
    spec.duration("ledger.grace", &options.ledger_grace, seconds{1}, hours{24},
                  "How long a fire may be without a word, beyond its misfire tolerance, before the ledger calls it unexplained");
    spec.size("logs.max-size", &options.logs_max_size, kMiB / 16, 4096 * kMiB, "Most that is kept of one stream of one run");
    return spec;
}

}  // namespace cloudtask::center
