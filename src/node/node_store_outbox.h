// Appending to the outbox within a transaction of NodeStore. Not for others.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "node/node_store_impl.h"

namespace cloudtask::node {

// Gives positions and sequences. They count only once the transaction is committed: committed() takes them over.
class OutboxAppender {
  public:
    explicit OutboxAppender(NodeStore::Impl& impl) : impl_(impl), database_(impl.database), position_(impl.last_position) {}

    // A log report of more than 64 KiB becomes several; one of no bytes, none.
    Result<> append(const Report& report);
    Result<> write_counters();
    void committed();

    // Of the last report so far.
    std::int64_t position() const { return position_; }

  private:
    Result<> add(const Report& report, std::uint64_t from, std::uint64_t until);

    NodeStore::Impl& impl_;
    Database& database_;
    std::int64_t position_;
    std::unordered_map<std::string, std::int64_t> sequences_;  // the last ones, of the incarnations in this transaction
};

}  // namespace cloudtask::node
