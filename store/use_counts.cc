#include "store/use_counts.h"

#include <map>

namespace raylet::store {

wire::ListUsesReplyT CountUses(const ObjectStore& store, uint32_t first_entry) {
  std::map<uint32_t, uint32_t> clients_by_entry;
  for (const uint32_t client : store.clients())
    for (const uint32_t entry : store.EntriesUsedBy(client))
      if (entry >= first_entry) ++clients_by_entry[entry];
  wire::ListUsesReplyT reply;
  for (const auto& [entry, clients] : clients_by_entry) {
    if (reply.uses.size() == kUsesPerReplyMax) {
      reply.next_entry = entry;
      break;
    }
    reply.uses.emplace_back(entry, clients);
  }
  return reply;
}

}  // namespace raylet::store
