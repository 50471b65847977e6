// Reading a secret from the terminal with termios. One thread; blocks.
#include "cli/terminal.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>

#include "cli/exit.h"

namespace cloudtask::cli {

namespace {

// Echo off while it lives. The signals that a person sends from the keyboard are held back meanwhile, and take effect after echo is on.
class EchoOff {
  public:
    explicit EchoOff(int terminal) : terminal_(terminal) {
        ok_ = ::tcgetattr(terminal_, &before_) == 0;
        if (!ok_) return;
        termios silent = before_;
        silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        silent.c_lflag &= ~static_cast<tcflag_t>(ISIG);
        silent.c_cc[VEOL] = before_.c_cc[VINTR];  // a line is handed over at once when Ctrl-C ends it
        ok_ = ::tcsetattr(terminal_, TCSAFLUSH, &silent) == 0;
    }
    ~EchoOff() {
        if (ok_) ::tcsetattr(terminal_, TCSAFLUSH, &before_);
    }
    EchoOff(const EchoOff&) = delete;
    EchoOff& operator=(const EchoOff&) = delete;

    bool ok() const { return ok_; }
    char interrupt() const { return static_cast<char>(before_.c_cc[VINTR]); }

  private:
    int terminal_;
    termios before_{};
    bool ok_ = false;
};

void say(int terminal, std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = ::write(terminal, text.data(), text.size());
        if (written <= 0) return;
        text.remove_prefix(static_cast<std::size_t>(written));
    }
}

enum class Ended { line, interrupted, closed };

Ended read_line(int terminal, char interrupt, std::string& line) {
    for (;;) {
        char c = 0;
        const ssize_t count = ::read(terminal, &c, 1);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return Ended::closed;
        if (c == '\n') return Ended::line;
        if (c == interrupt) return Ended::interrupted;
        line += c;
    }
}

}  // namespace

Result<std::string> ask_secret(const std::string& prompt) {
    const int terminal = ::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (terminal < 0) return fail(Exit::usage, "there is no terminal to ask for a password; give --password-file");
    std::string line;
    Ended ended = Ended::closed;
    {
        const EchoOff echo_off(terminal);
        if (echo_off.ok()) {
            say(terminal, prompt);
            ended = read_line(terminal, echo_off.interrupt(), line);
            say(terminal, "\n");
        }
    }
    ::close(terminal);
    if (ended == Ended::interrupted) ::raise(SIGINT);
    if (ended != Ended::line || line.empty()) return fail(Exit::usage, "no password was given");
    return line;
}

}  // namespace cloudtask::cli
