// SettledNews: which settled ends the other machines have still to hear of, with the objects that this machine keeps of
// the dead owners. Where these are very many, the news takes several turns of the loop. A core; owned by the ClaimDesk.
// Always holds: the notice that names the processes of an end comes after those that name its objects.
#pragma once

#include <deque>
#include <functional>
#include <vector>

#include "fbs/ids.h"
#include "fbs/peer_work_generated.h"

namespace raylet {

class SettledNews {
 public:
  // Up to `most` kept objects of `owner`, in order, from the first one after `after` on.
  using KeptOf = std::function<std::vector<ObjectId>(ProcessId owner, const ObjectId& after, size_t most)>;

  void Add(std::vector<ProcessId> processes) { ends_.push_back({std::move(processes), 0, {}}); }
  // The next notices. Together they name `most` objects at most. Where they name fewer, no news is left.
  std::vector<wire::SettledNoticeT> Take(size_t most, const KeptOf& kept_of);
  bool empty() const { return ends_.empty(); }

 private:
  struct End {
    std::vector<ProcessId> processes;
    size_t next = 0;  // the first whose objects have not all been named
    ObjectId after;   // those of it up to this one have been
  };
  std::deque<End> ends_;
};

}  // namespace raylet
