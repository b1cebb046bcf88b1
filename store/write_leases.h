// WriteLeases: the runs of the arena that clients may write small objects into, by size class. The StoreServer owns it;
// loop thread only. Pure, but for the clients' put pages, which may hold nonsense at any moment.
// Always holds: a run of the arena is leased to one client, or to none. What a post names is given only to the client
// that leases it, once. Leases hold at most `bytes_max` of the arena, and a quarter of that for one client. Runs that
// no client has taken go back when the arena has no room.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>

#include "fbs/put_page.h"
#include "store/arena.h"

namespace raylet::store {

class WriteLeases {
 public:
  WriteLeases(Arena& arena, uint64_t bytes_max) : arena_(arena), bytes_max_(bytes_max) {}  // `arena` outlives this

  // `page` outlives the client here.
  void AddClient(uint32_t client, PutPage* page);
  // Frees what the client leases.
  void RemoveClient(uint32_t client);

  // The client wants `count` runs of the class at any time, as far as the bounds allow. Grants them now.
  void Want(uint32_t client, uint32_t put_class, uint32_t count);
  // Grants as many runs as the client wants and does not have. An arena without room grants none.
  void TopUp(uint32_t client, uint32_t put_class);
  // Ends the lease of the run that the slot names, and returns its offset; its memory is the caller's. Nothing unless
  // the client leases it and `bytes` fit.
  std::optional<uint64_t> Take(uint32_t client, uint32_t slot, uint64_t bytes);
  void Free(uint64_t run) { arena_.Free(run); }  // that Take returned, and no object needs
  // Takes back all runs that no client has taken yet. True if there were any.
  bool TakeBack();

  uint64_t leased_bytes() const { return leased_bytes_; }

 private:
  struct OfClass {
    uint32_t wanted = 0, leased = 0;
    uint32_t next = 0;                             // the place of the next grant, modulo kGrantsPerClass
    std::array<uint64_t, kGrantsPerClass> runs{};  // offset + 1, or 0
  };
  struct Client {
    PutPage* page = nullptr;
    uint64_t leased_bytes = 0;
    std::array<std::unique_ptr<OfClass>, kPutClasses> classes;
  };

  void TopUp(Client& client, uint32_t put_class);
  void End(Client& client, uint32_t put_class, uint32_t place);  // of the lease; its memory is the caller's

  Arena& arena_;
  const uint64_t bytes_max_;
  uint64_t leased_bytes_ = 0;
  std::unordered_map<uint32_t, Client> clients_;
};

}  // namespace raylet::store
