;; FAIL(241): weir run %
;;
;; A component that is no command.
(component)
