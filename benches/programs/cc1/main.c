/* A checksum and a sorter: loops, a switch, a table and a recursion for the optimizer. */
typedef unsigned char u8;
typedef unsigned int u16;

static u16 table[256];

static void fill(void) {
  for (u16 i = 0; i < 256; i++) {
    u16 value = i;
    for (u8 bit = 0; bit < 8; bit++) value = value & 1 ? (value >> 1) ^ 0xa001 : value >> 1;
    table[i] = value;
  }
}

u16 checksum(const u8 *bytes, u16 length) {
  u16 sum = 0xffff;
  while (length--) sum = (sum >> 8) ^ table[(sum ^ *bytes++) & 255];
  return sum;
}

void sort(u8 *items, int low, int high) {
  int i = low, j = high;
  u8 middle = items[(low + high) / 2];
  while (i <= j) {
    while (items[i] < middle) i++;
    while (items[j] > middle) j--;
    if (i <= j) {
      u8 held = items[i];
      items[i++] = items[j];
      items[j--] = held;
    }
  }
  if (low < j) sort(items, low, j);
  if (i < high) sort(items, i, high);
}

const char *name(u8 kind) {
  switch (kind) {
  case 0: return "none";
  case 1: return "one";
  case 2: return "two";
  case 7: return "seven";
  default: return kind > 100 ? "many" : "some";
  }
}

int main(void) {
  u8 items[] = {9, 3, 7, 1, 8, 200, 5};
  fill();
  sort(items, 0, sizeof items - 1);
  return checksum(items, sizeof items) ^ (u16)name(items[2])[0];
}
