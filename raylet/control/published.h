// Published: all that this raylet has told the control store and that nobody else could tell again: names, where its
// actors are, pairs that it put or deleted. Pure; owned by the ControlLink; time comes in. It says what is to be told:
// what is new, everything once the store may have lost it, and a few old items with each renewal, in turn, so that
// single losses heal, too, and we learn what others have replaced.
//
// Always holds: an item is told until the store has taken it, or has somebody else's of a larger epoch or version; then
// it is lost to us, which is said once. What is withdrawn is kept until the store has let go of it.
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
constexpr size_t kPublishedBytesMax = size_t{64} << 20;  // of keys and values

class Published {
 public:
  using Item = std::variant<NameClaim, ActorPlacement, KeyValue>;
  // What to do with the store; its outcome comes back with the ticket.
  struct Telling {
    uint64_t ticket = 0;
    Item item;
    bool withdraw = false;  // release the name, forget the actor
    bool again = false;     // the store has had it before
  };
  struct Lost {
    Item item;
    Error why;
  };

  // The store has it.
  void Keep(Item item, TimePoint now);
  // The store shall have it, or let go of it.
  void Tell(Item item, TimePoint now);
  void Withdraw(Item item, TimePoint now);
  // kFull where `bytes` more are too many.
  Result<void> HasRoom(size_t bytes) const;

  // Our lease was renewed. True where the store may have lost what we told it: all of it is due.
  bool Renewed(bool fresh, uint64_t connection, TimePoint now);
  std::vector<Telling> TakeDue(size_t max);
  std::vector<Telling> TakeToCheck(size_t max);  // what was taken before is not due
  // The outcome of a telling. One that was overtaken by a newer item means nothing.
  std::optional<Lost> Told(uint64_t ticket, const Result<void>& outcome);

  size_t size() const { return entries_.size(); }
  size_t due() const { return due_.size(); }
  uint64_t losses() const { return losses_; }  // of the store's memory: how often everything was due

 private:
  struct Entry {
    Item item;
    bool withdrawn = false;
    bool had = false;                    // the store has had it
    uint64_t ticket = 0;                 // of its newest content
    uint64_t taken_in = 0;               // generation in which it was last taken
    TimePoint until = TimePoint::max();  // then it is of no interest to anybody
  };
  Entry& Set(Item item, TimePoint now);
  void Erase(std::map<std::string, Entry>::iterator entry);
  Telling Take(const std::string& key, Entry& entry);

  std::map<std::string, Entry> entries_;
  std::set<std::string> due_;                            // keys; not those under way
  std::unordered_map<uint64_t, std::string> under_way_;  // by ticket
  std::string check_after_;                              // where the turn of checks is
  size_t bytes_ = 0;
  uint64_t next_ticket_ = 1;
  uint64_t generation_ = 1;  // of the store's memory
  std::optional<uint64_t> connection_;
  uint64_t losses_ = 0;
};

}  // namespace raylet
