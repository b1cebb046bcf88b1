#include "raylet/objects/settled_news.h"

#include <utility>

namespace raylet {

std::vector<wire::SettledNoticeT> SettledNews::Take(size_t most, const KeptOf& kept_of) {
  std::vector<wire::SettledNoticeT> notices;
  while (most > 0 && !ends_.empty()) {
    End& end = ends_.front();
    wire::SettledNoticeT& notice = notices.emplace_back();
    for (; end.next < end.processes.size(); ++end.next, end.after = {}) {
      const std::vector<ObjectId> kept = kept_of(end.processes[end.next], end.after, most);
      for (const ObjectId& object : kept) notice.kept.push_back(ToWire(object));
      most -= kept.size();
      if (most > 0) continue;
      end.after = kept.back();
      return notices;
    }
    notice.processes = std::move(end.processes);
    ends_.pop_front();
  }
  return notices;
}

}  // namespace raylet
