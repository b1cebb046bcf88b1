#include "base/later_turn.h"

namespace raylet {

void LaterTurn::Ask() {
  if (std::exchange(*asked_, true)) return;
  loop_.Post([this, asked = std::weak_ptr<bool>(asked_)] {
    const auto alive = asked.lock();
    if (alive == nullptr) return;
    *alive = false;
    work_();
  });
}

}  // namespace raylet
