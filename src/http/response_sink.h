// ResponseSink: the stream buffer that cpprestsdk writes an answer's body to, one piece at a time; it reads the next piece from the socket
// when the last one is done with, so memory stays flat (its own buffer would take whatever the server sends).
//
// The body may begin to come before the client has looked at the status; pieces wait until accept() says what becomes of them. Threads:
// cpprestsdk's, one piece at a time; accept() and stop() from any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>

#include <cpprest/streams.h>
#include <pplx/pplxtasks.h>

namespace cloudtask::http {

class ResponseSink final : public concurrency::streams::details::streambuf_state_manager<std::uint8_t> {
  public:
    // Takes one piece, whose bytes are valid until the task is done. May throw: the transfer then ends with that exception.
    using Take = std::function<pplx::task<std::size_t>(const std::uint8_t* bytes, std::size_t count)>;

    ResponseSink();

    // The status is known: `take` gets what has come and what will.
    void accept(Take take);
    // No piece is taken any more; when this returns, none is being taken. May wait for one that is.
    void stop();

    bool can_seek() const override { return false; }
    bool has_size() const override { return false; }
    std::size_t buffer_size(std::ios_base::openmode) const override { return 0; }
    void set_buffer_size(std::size_t, std::ios_base::openmode) override {}
    std::size_t in_avail() const override { return 0; }
    pos_type getpos(std::ios_base::openmode) const override { return static_cast<pos_type>(traits::eof()); }
    pos_type seekpos(pos_type, std::ios_base::openmode) override { return static_cast<pos_type>(traits::eof()); }
    pos_type seekoff(off_type, std::ios_base::seekdir, std::ios_base::openmode) override { return static_cast<pos_type>(traits::eof()); }
    bool acquire(std::uint8_t*& bytes, std::size_t& count) override;
    void release(std::uint8_t*, std::size_t) override {}

  protected:
    pplx::task<int_type> _putc(std::uint8_t byte) override;
    pplx::task<std::size_t> _putn(const std::uint8_t* bytes, std::size_t count) override;
    pplx::task<bool> _sync() override { return pplx::task_from_result(true); }
    std::uint8_t* _alloc(std::size_t) override { return nullptr; }
    void _commit(std::size_t) override {}

    // Nothing can be read from it.
    pplx::task<int_type> _bumpc() override { return pplx::task_from_result<int_type>(traits::eof()); }
    int_type _sbumpc() override { return traits::eof(); }
    pplx::task<int_type> _getc() override { return pplx::task_from_result<int_type>(traits::eof()); }
    int_type _sgetc() override { return traits::eof(); }
    pplx::task<int_type> _nextc() override { return pplx::task_from_result<int_type>(traits::eof()); }
    pplx::task<int_type> _ungetc() override { return pplx::task_from_result<int_type>(traits::eof()); }
    pplx::task<std::size_t> _getn(std::uint8_t*, std::size_t) override { return pplx::task_from_result<std::size_t>(0); }
    std::size_t _scopy(std::uint8_t*, std::size_t) override { return 0; }

  private:
    pplx::task<std::size_t> give(const std::uint8_t* bytes, std::size_t count);  // mutex_ is held

    std::mutex mutex_;
    Take take_;             // guarded by mutex_
    bool stopped_ = false;  // guarded by mutex_
    struct Early {
        const std::uint8_t* bytes;
        std::size_t count;
        pplx::task_completion_event<std::size_t> done;
    };
    std::unique_ptr<Early> early_;  // guarded by mutex_; a piece that came before accept()
};

}  // namespace cloudtask::http
