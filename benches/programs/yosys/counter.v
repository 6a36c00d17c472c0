// A counter with an enable and a match output.
module counter #(parameter WIDTH = 12) (
  input clk, input rst, input en, input [WIDTH-1:0] limit,
  output reg [WIDTH-1:0] value, output match
);
  assign match = value == limit;
  always @(posedge clk)
    if (rst || match) value <= 0;
    else if (en) value <= value + 1;
endmodule
