// ClientTable: the connected clients: their numbers, their rows of the index, and what each writes and
// owns. The ObjectStore owns it; loop thread only.
// Always holds: a number is never used again. A row belongs to one client.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "fbs/ids.h"
#include "fbs/segment_layout.h"
#include "store/entry_table.h"

namespace raylet::store {

class ClientTable {
 public:
  struct Client {
    ClientRow* row = nullptr;
    StateList unsealed;                    // entries that the client writes
    OwnerList owned;                       // entries that the client owns
    std::vector<ObjectId> deleted_at_end;  // those that the client created; at most kDeletesAtEndMax
    uint32_t heir = 0;                     // connected when this client came; 0: none
  };

  explicit ClientTable(IndexHeader& header);  // outlives this
  // The clients of an earlier daemon, as their rows say. Once, before any other call.
  void Adopt();

  // The client's number. kLimit where all rows are taken. An heir that is not connected is none.
  Result<uint32_t> Add(int32_t pid, const std::string& name, uint32_t heir, uint64_t now_ms);
  void Remove(uint32_t number);
  void Rename(uint32_t number, const std::string& name);

  Client* Find(uint32_t number);  // null: not connected
  Client& At(uint32_t number) { return clients_.at(number); }
  bool Has(uint32_t number) const { return clients_.contains(number); }
  uint32_t next_number() const { return next_number_; }
  std::vector<uint32_t> numbers() const;
  const std::unordered_map<uint32_t, Client>& all() const { return clients_; }

 private:
  IndexHeader& header_;
  uint32_t next_number_ = 1;
  std::vector<uint32_t> free_rows_;  // of the index, the lowest last
  std::unordered_map<uint32_t, Client> clients_;
};

}  // namespace raylet::store
