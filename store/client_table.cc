#include "store/client_table.h"

#include <algorithm>
#include <cstring>

#include "base/strings.h"
#include "store/transaction.h"

namespace raylet::store {
namespace {

void WriteName(ClientRow& row, const std::string& name) {
  std::memset(row.name, 0, sizeof row.name);
  std::memcpy(row.name, name.data(), std::min(name.size(), sizeof row.name - 1));
}

}  // namespace

ClientTable::ClientTable(IndexHeader& header)
    : header_(header), next_number_(header.next_client.load(std::memory_order_relaxed)) {
  for (uint32_t row = kClientRowsMax; row > 0; --row) free_rows_.push_back(row - 1);
}

void ClientTable::Adopt() {
  free_rows_.clear();
  for (uint32_t i = kClientRowsMax; i > 0; --i) {
    ClientRow& row = header_.clients[static_cast<std::ptrdiff_t>(i) - 1];
    if (const uint32_t named = row.being_named.exchange(0); named != 0) row.number.store(named);
    const uint32_t number = row.number.load();
    if (number == 0) {
      free_rows_.push_back(i - 1);
      continue;
    }
    for (auto* counter : {&row.unsealed_bytes, &row.owned_bytes}) counter->store(0, std::memory_order_relaxed);
    Client& client = clients_[number];
    client.row = &row;
    client.heir = row.heir.load(std::memory_order_relaxed);
  }
  header_.counters.clients.store(clients_.size(), std::memory_order_relaxed);
}

Result<uint32_t> ClientTable::Add(int32_t pid, const std::string& name, uint32_t heir, uint64_t now_ms) {
  if (free_rows_.empty())
    return Fail(ErrorCode::kLimit, StrCat("this plasma_store serves ", kClientRowsMax,
                                          " clients, the most that it can; disconnect some, or start another store"));
  ClientRow& row = header_.clients[static_cast<std::ptrdiff_t>(free_rows_.back())];
  free_rows_.pop_back();
  const uint32_t connected_heir = Has(heir) ? heir : 0;  // nobody is one's own heir
  const uint32_t number = next_number_++;
  header_.next_client.store(next_number_, std::memory_order_relaxed);
  row.pid.store(pid, std::memory_order_relaxed);
  row.connected_ms.store(now_ms, std::memory_order_relaxed);
  for (auto* counter : {&row.created_count, &row.created_bytes, &row.unsealed_bytes, &row.owned_bytes})
    counter->store(0, std::memory_order_relaxed);
  row.heir.store(connected_heir, std::memory_order_relaxed);
  WriteName(row, name);
  row.number.store(number, std::memory_order_release);  // publishes the row to objstat
  store::Add(header_.counters.clients, 1);
  Client& client = clients_[number];
  client.row = &row;
  client.heir = connected_heir;
  return number;
}

void ClientTable::Remove(uint32_t number) {
  ClientRow* const row = At(number).row;
  row->number.store(0, std::memory_order_release);
  free_rows_.push_back(static_cast<uint32_t>(row - header_.clients.get()));
  Subtract(header_.counters.clients, 1);
  clients_.erase(number);
}

void ClientTable::Rename(uint32_t number, const std::string& name) {
  ClientRow& row = *At(number).row;
  row.being_named.store(number, std::memory_order_release);
  row.number.store(0, std::memory_order_release);  // no reader takes a name for whole while it is written
  WriteName(row, name);
  row.number.store(number, std::memory_order_release);
  row.being_named.store(0, std::memory_order_release);
}

ClientTable::Client* ClientTable::Find(uint32_t number) {
  const auto it = clients_.find(number);
  return it == clients_.end() ? nullptr : &it->second;
}

std::vector<uint32_t> ClientTable::numbers() const {
  std::vector<uint32_t> numbers;
  numbers.reserve(clients_.size());
  for (const auto& [number, client] : clients_) numbers.push_back(number);
  return numbers;
}

}  // namespace raylet::store
