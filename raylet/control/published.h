// Published: the items that this raylet has told the control store and that only this raylet could tell again. These
// are names, places of actors, and pairs that it put or deleted. Pure; owned by the ControlLink; the caller gives the
// time. It selects the items to tell: new items, all items after a possible loss, and with each renewal a few old ones
// in turn. So single losses heal too, and we learn which items other raylets have replaced.
//
// Always holds: an item is told until the store has taken it, or holds another raylet's with a larger epoch or version.
// In the second case we have lost the item, which is reported once. A withdrawn item is kept until the store has
// dropped it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "raylet/control/control_records.h"

namespace raylet {

constexpr size_t kPublishedMax = 200'000;
constexpr size_t kPublishedBytesMax = size_t{64} << 20;  // total bytes of keys and values

class Published {
 public:
  using Item = std::variant<NameEntry, ActorPlacement, KeyValue>;
  // One item to tell the store. The ticket identifies it when its outcome comes back.
  struct Telling {
    uint64_t ticket = 0;
    Item item;
    bool withdraw = false;  // withdrawn: release the name, forget the actor
    bool again = false;     // the store has taken it before
  };
  struct Lost {
    Item item;
    Error why;
  };

  // Records that the store has the item.
  void Keep(Item item, TimePoint now);
  // Sets what the store has to take, or to drop.
  void Tell(Item item, TimePoint now);
  void Withdraw(Item item, TimePoint now);
  // kFull where `bytes` more exceed the bound.
  Result<void> HasRoom(size_t bytes) const;

  // Our lease was renewed. Returns true when the store may have lost our items; all of them are
  // then due.
  bool Renewed(bool fresh, uint64_t connection, TimePoint now);
  std::vector<Telling> TakeDue(size_t max);
  std::vector<Telling> TakeToCheck(size_t max);  // items that were taken before and are not due
  // The outcome of telling an item. It is ignored when a newer item has replaced that one.
  std::optional<Lost> Told(uint64_t ticket, const Result<void>& outcome);

  size_t size() const { return entries_.size(); }
  size_t due() const { return due_.size(); }
  uint64_t losses() const { return losses_; }  // how often everything was due

 private:
  struct Entry {
    Item item;
    bool withdrawn = false;
    bool had = false;                    // the store has taken it
    uint64_t ticket = 0;                 // ticket of its newest content
    uint64_t taken_in = 0;               // generation in which the store last took it
    TimePoint until = TimePoint::max();  // from then on nobody needs it
  };
  Entry& Set(Item item, TimePoint now);
  void Erase(std::map<std::string, Entry>::iterator entry);
  Telling Take(const std::string& key, Entry& entry);

  std::map<std::string, Entry> entries_;
  std::set<std::string> due_;                            // keys of due items, without those under way
  std::unordered_map<uint64_t, std::string> under_way_;  // by ticket
  std::string check_after_;                              // the next item to check
  size_t bytes_ = 0;
  uint64_t next_ticket_ = 1;
  uint64_t generation_ = 1;  // grows whenever the store may have lost its contents
  std::optional<uint64_t> connection_;
  uint64_t losses_ = 0;
};

}  // namespace raylet
