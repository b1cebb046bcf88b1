#include "store/write_leases.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace raylet::store {

void WriteLeases::AddClient(uint32_t client, PutPage* page) {
  RAYLET_CHECK(clients_.try_emplace(client).second, "client ", client, " has a put page already");
  clients_[client].page = page;
}

void WriteLeases::RemoveClient(uint32_t client) {
  const auto it = clients_.find(client);
  if (it == clients_.end()) return;
  for (uint32_t put_class = 0; put_class < kPutClasses; ++put_class) {
    if (it->second.classes[put_class] == nullptr) continue;
    for (uint32_t place = 0; place < kGrantsPerClass; ++place) {
      const uint64_t run = it->second.classes[put_class]->runs[place];
      if (run == 0) continue;
      End(it->second, put_class, place);
      arena_.Free(run - 1);
    }
  }
  RAYLET_CHECK(it->second.leased_bytes == 0, "client ", client, " leaves ", it->second.leased_bytes, " bytes leased");
  clients_.erase(it);
}

void WriteLeases::Want(uint32_t client, uint32_t put_class, uint32_t count) {
  const auto it = clients_.find(client);
  if (it == clients_.end() || put_class >= kPutClasses) return;
  auto& of_class = it->second.classes[put_class];
  if (of_class == nullptr) of_class = std::make_unique<OfClass>();
  of_class->wanted = std::min(count, kGrantsPerClass);
  TopUp(it->second, put_class);
}

void WriteLeases::TopUp(uint32_t client, uint32_t put_class) {
  if (const auto it = clients_.find(client); it != clients_.end() && put_class < kPutClasses)
    TopUp(it->second, put_class);
}

void WriteLeases::TopUp(Client& client, uint32_t put_class) {
  if (client.classes[put_class] == nullptr) return;
  OfClass& of_class = *client.classes[put_class];
  const uint64_t bytes = PutClassBytes(put_class);
  while (of_class.leased < of_class.wanted) {
    const uint32_t place = of_class.next % kGrantsPerClass;
    if (of_class.runs[place] != 0) return;  // the client still writes there
    if (leased_bytes_ + bytes > bytes_max_ || client.leased_bytes + bytes > bytes_max_ / 4) return;
    const auto offset = arena_.Allocate(bytes);
    if (!offset) return;
    of_class.runs[place] = *offset + 1;
    ++of_class.leased;
    ++of_class.next;
    client.leased_bytes += bytes;
    leased_bytes_ += bytes;
    // Release: the client writes there only after whoever had the memory before.
    client.page->grants[put_class][place].store(*offset + 1, std::memory_order_release);
  }
}

void WriteLeases::End(Client& client, uint32_t put_class, uint32_t place) {
  OfClass& of_class = *client.classes[put_class];
  of_class.runs[place] = 0;
  --of_class.leased;
  client.leased_bytes -= PutClassBytes(put_class);
  leased_bytes_ -= PutClassBytes(put_class);
}

std::optional<uint64_t> WriteLeases::Take(uint32_t client, uint32_t slot, uint64_t bytes) {
  const auto it = clients_.find(client);
  if (it == clients_.end() || slot >= kPutSlots) return std::nullopt;
  const uint32_t put_class = slot / kGrantsPerClass, place = slot % kGrantsPerClass;
  if (it->second.classes[put_class] == nullptr || bytes > PutClassBytes(put_class)) return std::nullopt;
  const uint64_t run = it->second.classes[put_class]->runs[place];
  if (run == 0) return std::nullopt;
  // A client that posts a run and did not take it: nobody else may take it now.
  it->second.page->grants[put_class][place].store(0, std::memory_order_relaxed);
  End(it->second, put_class, place);
  return run - 1;
}

bool WriteLeases::TakeBack() {
  if (leased_bytes_ == 0) return false;
  bool any = false;
  for (auto& [number, client] : clients_) {
    for (uint32_t put_class = 0; put_class < kPutClasses; ++put_class) {
      if (client.classes[put_class] == nullptr) continue;
      OfClass& of_class = *client.classes[put_class];
      while (of_class.leased > 0) {
        const uint32_t place = (of_class.next - 1) % kGrantsPerClass;
        const uint64_t run = of_class.runs[place];
        // Acquire, with the client's exchange: whoever finds the run there has it. A client takes in order, so those
        // before a run that was taken were taken too.
        if (run == 0 || client.page->grants[put_class][place].exchange(0, std::memory_order_acq_rel) != run) break;
        --of_class.next;
        End(client, put_class, place);
        arena_.Free(run - 1);
        any = true;
      }
    }
  }
  return any;
}

}  // namespace raylet::store
